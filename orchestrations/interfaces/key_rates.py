"""How many requests an API key may make in a minute, to both HTTP APIs together."""

from __future__ import annotations

from orchestrations.interfaces.rates import count_request
from orchestrations.models import ApiKey


class RateExceeded(Exception):
    """The key has made all its requests of this minute; in ``retry_after`` seconds the next one begins."""

    def __init__(self, key: ApiKey, retry_after: int) -> None:
        super().__init__(
            f"The API key {key.name!r} allows {key.requests_per_minute} requests a minute. Try again in the next one."
        )
        self.retry_after = retry_after


def require_rate(key: ApiKey) -> None:
    """Count one request of the key, its links' among them. Raises RateExceeded beyond its number for this minute."""
    if key.requests_per_minute is None:
        return
    count, seconds = count_request(f"api_key.{key.pk}")
    if count > key.requests_per_minute:
        raise RateExceeded(key, seconds)
