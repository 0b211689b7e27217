"""The parts of an instance's page, a module each: what a tab shows, gathered for its template."""
