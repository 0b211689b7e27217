"""A real cluster in processes of its own, given work that misbehaves, and killed."""
