"""The only code that writes the hot tables; ``get_store()`` gives the one for the project's database."""
