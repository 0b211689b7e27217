"""Who may do what, through which key, and the audit of what was done; the same rules at every door."""
