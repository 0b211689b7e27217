"""Sample orchestrations, one module per pattern, and the instances that a first visitor finds.

The samples reach no network and keep no state of their own: where a real activity would call a service, these compute
an answer from their input, so that every run of them can be foretold and tested.
"""
