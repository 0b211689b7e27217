"""Control operations, and what must have become of them once everything that can be done is done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrations.core.status import RuntimeStatus
from orchestrations.models import Instance

LIVE = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED, RuntimeStatus.CONTINUED_AS_NEW)


class Orders:
    """The last one that was given to each root: nobody else orders those about."""

    def __init__(self) -> None:
        self._given: dict[tuple[int, datetime], str] = {}

    def give(self, row: Instance, verb: str) -> None:
        """Note that it was accepted; nothing comes after a termination."""
        if self._given.get((row.pk, row.created_at)) != "terminate":
            self._given[row.pk, row.created_at] = verb

    def forget(self, row: Instance) -> None:
        """It had failed before it heard of any, and is rewound."""
        self._given.pop((row.pk, row.created_at), None)

    def check(self) -> None:
        """Raise AssertionError where one was not followed."""
        for row in Instance.objects.filter(is_entity=False, parent=None, status__in=LIVE):
            verb = self._given.get((row.pk, row.created_at), "resume")
            assert verb != "terminate", f"{row.instance_id} was terminated, and is {row.status}"
            is_suspended = row.status == RuntimeStatus.SUSPENDED
            assert is_suspended == (verb == "suspend"), f"{row.instance_id}: the last order was {verb}"


class Family:
    """The live sub-orchestrations below an instance, to see which of them an order reaches."""

    def __init__(self, row: Instance) -> None:
        self._top = row.pk
        self._status = _statuses()
        self._live = {pk: status for pk, (_, status) in self._status.items() if status in LIVE}

    def has_members(self) -> bool:
        """Whether there is anybody below."""
        return any(parent == self._top and pk in self._live for pk, (parent, _) in self._status.items())

    def check(self, verb: str, *, recursive: bool) -> None:
        """Raise AssertionError unless all of them have heard of it now, or none has."""
        now = _statuses()
        for pk, status in self._reached(now, self._top):
            was_suspended = self._live[pk] == RuntimeStatus.SUSPENDED
            expected = _follows(verb, status) if recursive else _is_as_before(was_suspended, status)
            assert expected, f"{verb}, recursive={recursive}: the child {pk} is {status}, and was {self._live[pk]}"

    def _reached(self, now: dict[int, tuple[Any, str]], top: int) -> list[tuple[int, str]]:
        """Those below, as far down as each one's parent is what the order makes of it or goes on."""
        reached = []
        for pk, (parent, status) in now.items():
            if parent == top and pk in self._live:
                reached.append((pk, status))
                if status in (*LIVE, RuntimeStatus.TERMINATED):
                    reached += self._reached(now, pk)
        return reached


def _statuses() -> dict[int, tuple[Any, str]]:
    rows = Instance.objects.filter(is_entity=False).values_list("pk", "parent_id", "status")
    return {pk: (parent, status) for pk, parent, status in rows}


def _follows(verb: str, status: str) -> bool:
    if verb == "terminate":
        return status not in LIVE
    return status not in LIVE or (status == RuntimeStatus.SUSPENDED) == (verb == "suspend")


def _is_as_before(was_suspended: bool, status: str) -> bool:
    return status != RuntimeStatus.TERMINATED and (status not in LIVE or (status == "Suspended") == was_suspended)
