"""The conformance suite: what every store promises, on the database under test."""
