"""Where other systems post signed requests that start instances and raise events."""
