"""Regions: parts of a page that are read apart from each other, so that one that fails leaves its neighbours alone.

What a region shows of a hub is the same for everybody who may see the hub, so a process reads it once for all of them.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.reading import SECONDS, TookTooLong, bounded
from orchestrations.interfaces.dashboard.versions import digest

logger = logging.getLogger("orchestrations.dashboard")

REMEMBERED_SECONDS = 4.0  # that a tick, or a region that is fetched anew, may be behind
REMEMBERED = 500  # regions

Facts = Any
Reader = Callable[[], Facts]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a region; or, with ``reference`` for the log, why it could not be."""

    facts: Facts
    version: str
    at: datetime
    problem: str = ""
    reference: str = ""


_kept: OrderedDict[tuple[str, ...], tuple[float, Reading]] = OrderedDict()
_guard = threading.Lock()


def read(key: tuple[str, ...], reader: Reader, *, fresh: bool = False) -> Reading:
    """Read a region within a second for each statement, or take what was read REMEMBERED_SECONDS ago at most.

    ``key`` names the region with all that it depends on; ``fresh`` reads in any case. Never raises a database error.
    """
    if not fresh:
        with _guard:
            at, reading = _kept.get(key, (0.0, None))
        if reading is not None and time.monotonic() - at < REMEMBERED_SECONDS:
            return reading
    reading = _read(key, reader)
    with _guard:
        _kept[key] = (time.monotonic(), reading)
        _kept.move_to_end(key)
        while len(_kept) > REMEMBERED:
            _kept.popitem(last=False)
    return reading


def _read(key: tuple[str, ...], reader: Reader) -> Reading:
    now = timezone.now()
    try:
        with bounded(get_config().database):
            facts = reader()
    except (TookTooLong, DatabaseError, InterfaceError) as error:
        reference = uuid.uuid4().hex[:8]
        logger.warning("The region %s could not be read (%s): %s", "/".join(key), reference, error)
        return Reading(None, "failed", now, _words(error), reference)
    return Reading(facts, digest((repr(facts),)), now)


def _words(error: Exception) -> str:
    if isinstance(error, TookTooLong):
        return f"The database needed more than {SECONDS:g} s for it."
    return "The database did not answer."
