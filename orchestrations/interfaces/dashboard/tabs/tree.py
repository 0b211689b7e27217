"""The family tree: the way up to the root, and the children fifty at a time, the failed first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Case, Count, IntegerField, Q, Value, When
from django.http import Http404, HttpRequest
from django.urls import reverse

from orchestrations.access.permissions import available_actions
from orchestrations.conf import get_config
from orchestrations.core.status import TERMINAL, RuntimeStatus
from orchestrations.interfaces.dashboard.access import person
from orchestrations.interfaces.dashboard.circumstances import Circumstances
from orchestrations.interfaces.dashboard.facts import by_urgency
from orchestrations.interfaces.dashboard.listing import ListRow, shown
from orchestrations.interfaces.dashboard.presentation.statuses import Badge
from orchestrations.interfaces.dashboard.presentation.verbs import PURGE, TERMINATE, Verb, offered
from orchestrations.interfaces.dashboard.tabs.reading import number
from orchestrations.limits import LIST_PAGE
from orchestrations.models import Instance
from orchestrations.reading.queries import LIST_COLUMNS

GENERATIONS = 20  # that are climbed to the root
FAMILY_VERBS = (TERMINATE, PURGE)  # those that can take everything below along
FAILED_RANK, LIVE_RANK, ENDED_RANK = range(3)
RANK = Case(
    When(status=RuntimeStatus.FAILED.value, then=Value(FAILED_RANK)),
    When(status__in=[status.value for status in RuntimeStatus if status not in TERMINAL], then=Value(LIVE_RANK)),
    default=Value(ENDED_RANK),
    output_field=IntegerField(),
)


@dataclass(frozen=True, slots=True)
class Node:
    """An instance in the tree, with the number of its own children in each status."""

    row: ListRow
    counts: list[tuple[Badge, int]]

    @property
    def children(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.counts)


@dataclass(frozen=True, slots=True)
class Branch:
    """Some children of an instance; ``more_query`` leads to the following ones."""

    nodes: list[Node]
    more_query: str


def gather(request: HttpRequest, instance: Instance, about: Circumstances) -> dict[str, object]:
    """The ancestors from the root down, the instance itself, and the first of its children."""
    ancestors = _ancestors(instance)
    top = ancestors[0] if ancestors else instance
    actions = available_actions(person(request), top)
    own = _counts([instance.pk]).get(instance.pk, Counter())
    return {
        "ancestors": [shown(row, about.now) for row in ancestors],
        "root": top,
        "is_root": top.pk == instance.pk,
        "family_verbs": _family_verbs(top, [offer.verb for offer in offered(top.status, actions) if not offer.missing]),
        "self": Node(shown(instance, about.now), by_urgency(own)),
        "branch": branch(instance, about, *place(request)),
        "is_page": bool(request.GET.get("after")),
    }


def branch(instance: Instance, about: Circumstances, rank: int | None, after: int | None) -> Branch:
    """Fifty children, beginning behind a place: the rank of a status, and the primary key there."""
    rows = Instance.objects.using(get_config().database).filter(parent_id=instance.pk).annotate(rank=RANK)
    if rank is not None and after is not None:
        rows = rows.filter(Q(rank__gt=rank) | Q(rank=rank, pk__gt=after))
    found = list(rows.only(*LIST_COLUMNS).order_by("rank", "pk")[: LIST_PAGE + 1])
    nodes = found[:LIST_PAGE]
    counts = _counts([row.pk for row in nodes])
    has_more = len(found) > LIST_PAGE
    more_query = urlencode({"rank": vars(nodes[-1])["rank"], "after": nodes[-1].pk}) if has_more else ""
    return Branch(
        [Node(shown(row, about.now), by_urgency(counts.get(row.pk, Counter()))) for row in nodes],
        more_query,
    )


def _counts(parents: list[int]) -> dict[int, Counter[RuntimeStatus]]:
    """How many children each of the instances has in each status, by one query."""
    rows = Instance.objects.using(get_config().database).filter(parent_id__in=parents).order_by()
    counts: dict[int, Counter[RuntimeStatus]] = {}
    for parent, status, count in rows.values_list("parent_id", "status").annotate(count=Count("pk")):
        counts.setdefault(parent, Counter())[RuntimeStatus(status)] = count
    return counts


def _ancestors(instance: Instance) -> list[Instance]:
    """From the root down; a parent that has been purged ends the way up."""
    found: list[Instance] = []
    rows = Instance.objects.using(get_config().database).only(*LIST_COLUMNS)
    parent_id = instance.parent_id
    while parent_id is not None and len(found) < GENERATIONS:
        above = rows.filter(pk=parent_id).first()
        if above is None:
            break
        found.insert(0, above)
        parent_id = above.parent_id
    return found


def _family_verbs(top: Instance, verbs: list[Verb]) -> list[tuple[Verb, str]]:
    return [
        (verb, reverse("dashboard:act", args=[top.hub, top.instance_id, verb.slug]))
        for verb in verbs
        if verb in FAMILY_VERBS
    ]


def place(request: HttpRequest) -> tuple[int | None, int | None]:
    """Where a branch goes on, of an address; raises Http404 for a place that is none."""
    rank, after = number(request.GET.get("rank")), number(request.GET.get("after"))
    if (rank is None) != (after is None):
        raise Http404("A place in the tree has both a rank and a key.")
    return rank, after
