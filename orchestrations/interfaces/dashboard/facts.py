"""The facts about an instance that its page lists below the sentence at the top."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.urls import reverse

from orchestrations.conf import get_config
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.fleet import spoken
from orchestrations.interfaces.dashboard.presentation.payloads import PayloadView, show_payload
from orchestrations.interfaces.dashboard.presentation.source_links import link_to
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES, Badge
from orchestrations.models import Instance
from orchestrations.reading import queries
from orchestrations.reading.paging import CappedCount
from orchestrations.reading.queries import InstanceFilter

ALIKE_CAP = 1_000
CHILDREN_COUNTED = 1_000  # of one instance, for its page; the tree counts them all
FIRST_SHOWN = (RuntimeStatus.FAILED, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED, RuntimeStatus.PENDING)
SHORT_CUSTOM_STATUS = 300  # characters that fit into the list of facts


@dataclass(frozen=True, slots=True)
class Children:
    """How many sub-orchestrations there are in each status, the failed first; counted up to a cap."""

    total: int
    is_capped: bool
    counts: list[tuple[Badge, int]]
    live: int

    def __str__(self) -> str:
        return f"{self.total:,}{'+' if self.is_capped else ''}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the template lists; empty texts and None are left out."""

    children: Children
    deployed: str
    queued: timedelta | None
    custom_status: PayloadView | None
    custom_status_is_long: bool
    source_url: str
    earlier_url: str
    alike: CappedCount | None
    """How many other instances have failed with the same error."""


def facts(instance: Instance, about: Circumstances) -> Facts:
    """The facts, by one query, and another one for an instance that has failed."""
    custom_status = show_payload(instance.custom_status)
    history = reverse("dashboard:instance_tab", args=[instance.hub, instance.instance_id, "history"])
    return Facts(
        children=count_children(instance),
        deployed=_deployed(instance, about),
        queued=_queued(instance),
        custom_status=custom_status,
        custom_status_is_long=custom_status is not None and len(custom_status.text) > SHORT_CUSTOM_STATUS,
        source_url=link_to(instance.blocked_at),
        earlier_url=f"{history}?execution={instance.execution - 1}" if instance.execution > 1 else "",
        alike=count_alike(instance),
    )


def count_children(instance: Instance) -> Children:
    """The sub-orchestrations of all its executions by status, up to CHILDREN_COUNTED of them."""
    rows = Instance.objects.using(get_config().database).filter(parent_id=instance.pk)
    statuses = list(rows.values_list("status", flat=True)[: CHILDREN_COUNTED + 1])
    counted = Counter(RuntimeStatus(status) for status in statuses[:CHILDREN_COUNTED])
    return Children(
        total=sum(counted.values()),
        is_capped=len(statuses) > CHILDREN_COUNTED,
        counts=by_urgency(counted),
        live=sum(count for status, count in counted.items() if status not in TERMINAL),
    )


def count_alike(instance: Instance) -> CappedCount | None:
    """How many others have failed with the same error, up to ALIKE_CAP; None for an error that is not known."""
    if not instance.error_fingerprint:
        return None
    where = InstanceFilter(error_fingerprint=instance.error_fingerprint)
    counted = queries.count_instances(instance.hub, where, cap=ALIKE_CAP)
    return counted if counted.is_capped else CappedCount(max(counted.value - 1, 0))


def by_urgency(counted: dict[RuntimeStatus, int]) -> list[tuple[Badge, int]]:
    """Counts with the looks of their statuses: what failed first, then what is on its way, then what has ended."""
    order = [*FIRST_SHOWN, *(status for status in RuntimeStatus if status not in FIRST_SHOWN)]
    return [(BADGES[status], counted[status]) for status in order if counted.get(status)]


def _deployed(instance: Instance, about: Circumstances) -> str:
    """Which versions of its code the live workers have, where that is not simply its own."""
    versions = about.fleet.versions_of(instance.name) if about.fleet is not None else []
    return ", ".join(spoken(versions)) if versions not in ([], [instance.version]) else ""


def _queued(instance: Instance) -> timedelta | None:
    """How long it waited for a worker to begin it; known of the first execution alone."""
    if instance.started_at is None or instance.execution > 1:
        return None
    return max(instance.started_at - (instance.scheduled_start_at or instance.created_at), timedelta())
