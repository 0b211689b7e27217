"""The language of the query box, and what it finds."""
