"""Rows turned into what a template prints: words, colours and coordinates. No queries, no requests, no HTML."""
