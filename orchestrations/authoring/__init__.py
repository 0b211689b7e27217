"""How a team declares its functions: decorators, the registry of what they declare, and the one door for JSON."""
