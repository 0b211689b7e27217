"""How many requests an API key may make in a minute."""

from __future__ import annotations

from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.interfaces.rates import count_request
from orchestrations.models import ApiKey


def require_rate(key: ApiKey) -> None:
    """Count one request of the key, its links' among them. Raises a 429 beyond its number for this minute."""
    if key.requests_per_minute is None:
        return
    count, seconds = count_request(f"api_key.{key.pk}")
    if count > key.requests_per_minute:
        raise Problem(
            429,
            f"The API key {key.name!r} allows {key.requests_per_minute} requests a minute. Try again in the next one.",
            {"Retry-After": str(seconds)},
        )
