"""What a web process does once with the code that it has loaded."""

from __future__ import annotations

import gc

from django.urls import get_resolver


def keep_out_of_collections() -> None:
    """Load every page, and have the garbage collector leave alone what is there by now, for it stays.

    Looking through all of it takes 50 to 80 ms, again and again, and some request has to wait for it.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
