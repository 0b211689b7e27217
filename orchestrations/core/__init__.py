"""The pure replay engine: (orchestrator, history, new events) -> (actions, state).

No Django, no I/O, no clock and no randomness in this package; the worker, unit tests and the page that shows where an
instance stands all run the same code.
"""
