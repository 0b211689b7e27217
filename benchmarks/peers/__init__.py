"""The peers' side of each comparison. Each runs in a virtual environment of its own."""
