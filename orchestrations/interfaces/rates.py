"""How many requests there were under a name in this minute. Counted in Django's cache: for all hosts that share it."""

from __future__ import annotations

import time

from django.core.cache import cache

WINDOW_SECONDS = 60


def count_request(name: str) -> tuple[int, int]:
    """Count one request; returns how many there were in this minute, and in how many seconds the next one begins."""
    window, passed = divmod(time.time(), WINDOW_SECONDS)
    return _count(f"orchestrations.{name}.{window:.0f}"), int(WINDOW_SECONDS - passed) + 1


def _count(key: str) -> int:
    if cache.add(key, 1, timeout=2 * WINDOW_SECONDS):
        return 1
    try:
        return cache.incr(key)
    except ValueError:  # the cache has dropped it meanwhile
        cache.set(key, 1, timeout=2 * WINDOW_SECONDS)
        return 1
