"""Boards: pages made of regions that are read, and kept up to date, each by itself."""
