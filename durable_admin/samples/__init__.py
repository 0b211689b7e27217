"""Sample orchestrations, one module per pattern, and the instances that a first visitor finds.

The samples keep no state of their own and, but for ``cross_app``, reach no network: where a real activity would call a
service, these compute an answer from their input, so that every run of them can be foretold and tested.
"""
