"""What an orchestrator may not do because it could come out differently on replay, and how its code is read for it."""
