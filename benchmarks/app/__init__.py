"""The Django app of the benchmark: what a user's app would have, an ``orchestrations.py`` and a client program."""
