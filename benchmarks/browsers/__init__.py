"""A thousand people who look at the dashboard while the hub works: what they cost the web server."""
