"""How many requests an API key may make in a minute. Counted in Django's cache: for all hosts where that is shared."""

from __future__ import annotations

import time

from django.core.cache import cache

from orchestrations.interfaces.management_api.problems import Problem
from orchestrations.models import ApiKey

WINDOW_SECONDS = 60


def require_rate(key: ApiKey) -> None:
    """Count one request of the key, its links' among them. Raises a 429 beyond its number for this minute."""
    if key.requests_per_minute is None:
        return
    window, passed = divmod(time.time(), WINDOW_SECONDS)
    if _count(f"orchestrations.api_key.{key.pk}.{window:.0f}") > key.requests_per_minute:
        raise Problem(
            429,
            f"The API key {key.name!r} allows {key.requests_per_minute} requests a minute. Try again in the next one.",
            {"Retry-After": str(int(WINDOW_SECONDS - passed) + 1)},
        )


def _count(name: str) -> int:
    """The number of requests in the window, this one included."""
    if cache.add(name, 1, timeout=2 * WINDOW_SECONDS):
        return 1
    try:
        return cache.incr(name)
    except ValueError:  # the cache has dropped it meanwhile
        cache.set(name, 1, timeout=2 * WINDOW_SECONDS)
        return 1
