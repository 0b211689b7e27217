"""Advancing instances: the drain loop with its group commit, the activity pool, the orchestrator cache and leases."""
