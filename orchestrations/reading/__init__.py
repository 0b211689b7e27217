"""The read side: what clients, APIs and pages look up, bounded at a million instances. Nothing here writes state."""
