"""What a board is made of, and what the templates of its regions are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from orchestrations.interfaces.dashboard.bounded_reading import Reading, read
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.topics import Topic
from orchestrations.reading.statistics import WINDOWS, Window

USUAL_WINDOW = "24h"

Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a board is asked for: a task hub, a window of time, and an orchestrator where the board is of one."""

    hub: str
    window: Window
    now: datetime
    flow: str = ""

    @classmethod
    def of(cls, hub: str, window: str | None, flow: str = "") -> Asked:
        """Read it from a request's parts; a window that there is not becomes the usual one."""
        named = {one.slug: one for one in WINDOWS}
        return cls(hub, named.get(window or "", named[USUAL_WINDOW]), timezone.now(), flow)


@dataclass(frozen=True, slots=True)
class Kind:
    """A region: ``read`` asks the database, ``show`` makes the template's context of that without asking again.

    What is read must have a ``repr`` that changes whenever what is shown does: ticks compare it.
    """

    title: str
    template: str
    read: Callable[[Asked], Any]
    show: Callable[[Asked, Any], Context]


@dataclass(frozen=True, slots=True)
class Board:
    """A page of regions, by name in the order of the page."""

    name: str
    section: str
    template: str
    kinds: Mapping[str, Kind]

    def url(self, asked: Asked, part: str = "", *, window: Window | None = None, **arguments: str) -> str:
        """The address of the board, or of its ``part`` (``region``, ``tick``), with the window that is asked for."""
        chosen = window or asked.window
        given = {"hub": asked.hub, **({"flow": asked.flow} if asked.flow else {}), **arguments}
        address = reverse(f"dashboard:{self.name}{f'_{part}' if part else ''}", kwargs=given)
        return address if chosen.slug == USUAL_WINDOW else f"{address}?{urlencode({'window': chosen.slug})}"

    def __post_init__(self) -> None:
        """Let live pages watch the board's regions."""
        BOARDS[self.name] = self

    def read(self, asked: Asked, region: str, *, fresh: bool = False) -> Reading:
        """What a region shows now."""
        return read(self.key(asked, region), partial(self.kinds[region].read, asked), fresh=fresh)

    def key(self, asked: Asked, region: str) -> tuple[str, str, str, str, str]:
        """All that what a region shows depends on, but the time."""
        return self.name, asked.hub, asked.window.slug, asked.flow, region

    def topics(self, asked: Asked) -> dict[str, Topic]:
        """What a page of the board watches."""
        return {region: topics.region(self.key(asked, region)) for region in self.kinds}

    def region(self, asked: Asked, name: str, *, fresh: bool = False) -> Context:
        """All that the template of a region needs."""
        kind, reading = self.kinds[name], self.read(asked, name, fresh=fresh)
        return {
            "name": name,
            "title": kind.title,
            "template": kind.template,
            "reading": reading,
            "url": self.url(asked, "region", region=name),
            "asked": asked,
            **({} if reading.problem else kind.show(asked, reading.facts)),
        }

    def windows(self, asked: Asked) -> list[Context]:
        """The windows that can be chosen, as links."""
        return [
            {"window": one, "url": self.url(asked, window=one), "is_current": one == asked.window} for one in WINDOWS
        ]


BOARDS: dict[str, Board] = {}
"""By name; a board enters itself."""


def _read_versions(keys: Collection[tuple[str, str, str, str, str]]) -> dict[tuple[str, str, str, str, str], str]:
    found = {}
    for key in keys:
        board, hub, window, flow, region = key
        found[key] = BOARDS[board].read(Asked.of(hub, window, flow), region).version
    return found


topics.READERS["region"] = _read_versions
