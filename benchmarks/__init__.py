"""Measurements of the engine beside a peer and a floor: ``python -m benchmarks``. Nothing of the app imports it."""
