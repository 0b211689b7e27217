"""The order of versions: none at all, then those that PEP 440 can read, then all others as text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from packaging.version import InvalidVersion, Version


@lru_cache(maxsize=1_024)
def version_key(version: str) -> tuple[int, Any]:
    """What a version is ordered and compared by: "2" is "2.0", and older than "10"."""
    if not version:
        return 0, ""
    try:
        return 1, Version(version)
    except InvalidVersion:
        return 2, version
