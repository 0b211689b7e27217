"""The stack: of a failure the chain of causes with the author's frames open, of what runs the line where it waits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from orchestrations.access.permissions import Action, names_open_to
from orchestrations.core.stack_traces import Frame, frames
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.listing import ListRow, shown
from orchestrations.interfaces.dashboard.presentation import spans
from orchestrations.interfaces.dashboard.presentation.awaited import Telling, tell
from orchestrations.interfaces.dashboard.presentation.failures import Cause, failure_of
from orchestrations.interfaces.dashboard.presentation.source_links import link_to, project_path, source_link
from orchestrations.interfaces.dashboard.tabs.reading import events_of
from orchestrations.models import HistoryEvent, Instance
from orchestrations.reading import queries
from orchestrations.reading.queries import InstanceFilter

ALIKE_SHOWN = 10
RECENT_EVENTS = 2_000  # in which the attempts of the failed call are looked for
ATTEMPTS_SHOWN = 20
PATH_PARTS = 4


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame with its path in the project, or the end of it, and where to read its source."""

    path: str
    line: int
    function: str
    code: str
    url: str


@dataclass(frozen=True, slots=True)
class Call:
    """A line of code that waits, where to read it, and what it says."""

    at: str
    code: str
    url: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames in a row that are the author's, or that are not and are folded."""

    is_own: bool
    frames: list[ShownFrame]


@dataclass(frozen=True, slots=True)
class ShownCause:
    """One error of the chain with its stack, outermost call first."""

    cause: Cause
    stretches: list[Stretch]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt of the call that the instance failed with."""

    number: int
    at: datetime
    sequence: int
    error: str


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """The failure where there is one, else where the code stands."""
    if instance.status == RuntimeStatus.FAILED:
        causes = failure_of(lambda: instance.failure)
        return {
            "causes": [ShownCause(cause, stretches(cause.trace)) for cause in causes],
            "attempts": _attempts(instance),
            "alike": _alike(request, instance, about),
            "list_url": f"{reverse('dashboard:instances', args=[instance.hub])}?"
            f"{urlencode({'fingerprint': instance.error_fingerprint})}",
        }
    waiting: list[Telling] = [tell(wait, about) for wait in about.waits]
    return {"causes": [], "calls": calls(instance), "telling": waiting}


def calls(instance: Instance) -> list[Call]:
    """Where the orchestrator stands, and what it called from there, down to the line that waits."""
    kept = json.loads(instance.blocked_stack) if instance.blocked_stack else []
    return [Call(at, code, link_to(at)) for at, code in kept or [(instance.blocked_at, instance.blocked_code)]]


def stretches(trace: str) -> list[Stretch]:
    """The frames of a trace, those of libraries in a row together."""
    return [
        Stretch(is_own, [_shown(frame) for frame in group])
        for is_own, group in groupby(frames(trace), key=lambda frame: frame.is_own)
    ]


def _shown(frame: Frame) -> ShownFrame:
    inside = project_path(frame.file)
    path = inside or "/".join(frame.file.replace("\\", "/").split("/")[-PATH_PARTS:])
    return ShownFrame(path, frame.line, frame.function, frame.code, source_link(frame.file, frame.line))


def _attempts(instance: Instance) -> list[Attempt]:
    """How often the call had been tried whose failure was the last before the end."""
    failed = (
        events_of(instance)
        .filter(sequence__gt=instance.last_sequence - RECENT_EVENTS, type__in=[kind.value for kind in spans.FAILED])
        .order_by("-sequence")
    )
    last = failed.first()
    if last is None:
        return []
    tries = failed.filter(task_id=last.task_id).defer(None)[:ATTEMPTS_SHOWN]
    return [_attempt(event) for event in reversed(list(tries))]


def _attempt(event: HistoryEvent) -> Attempt:
    causes = failure_of(lambda: event.payload)
    return Attempt(event.attempt, event.timestamp, event.sequence, causes[-1].line if causes else "")


def _alike(request: HttpRequest, instance: Instance, about: Circumstances) -> list[ListRow]:
    """The newest of the other instances that failed with the same error, among those that the reader may see."""
    if not instance.error_fingerprint:
        return []
    visible = names_open_to(person(request), Action.VIEW, instance.hub)
    where = InstanceFilter(error_fingerprint=instance.error_fingerprint, visible=visible)
    found = queries.list_instances(instance.hub, where, limit=ALIKE_SHOWN + 1).items
    return [shown(row, about.now) for row in found if row.pk != instance.pk][:ALIKE_SHOWN]
