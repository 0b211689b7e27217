"""Which instances a list shows, as one object and as SQL. Every list, count, export and bulk act filters here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connections
from django.db.models import BooleanField, F, Func, Q, QuerySet, Value

from orchestrations.conf import get_config
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import Instance
from orchestrations.models.instances import ORCHESTRATION
from orchestrations.search.language import Mark, Query, Text
from orchestrations.search.marks import is_marked
from orchestrations.search.moments import Span
from orchestrations.search.names import named_like, orchestrations_named, prefixed


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances a list shows; every field that is set narrows it. Instants are aware."""

    statuses: tuple[RuntimeStatus, ...] = ()
    name: str = ""
    name_prefix: str = ""
    instance_id: str = ""
    id_prefix: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    """Exclusive, so that adjoining windows share no instance."""
    parent: Instance | None = None
    parent_instance_id: str = ""
    """The same by its id; a parent that is not there has no children."""
    roots_only: bool = False
    version: str | None = None
    """None for any; the empty text finds those without a version."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """All of these must be among the instance's."""
    error_fingerprint: str = ""
    """Failures of one kind; see ``FailureDetails.fingerprint``."""
    error_text: str = ""
    """Part of the one line that a failed instance shows of its failure, in any case."""
    completed_from: datetime | None = None
    completed_to: datetime | None = None
    """Exclusive."""
    marks: tuple[Mark, ...] = ()
    """All of these must be true of it."""
    nothing: bool = False
    """Lets no instance through."""
    with_entities: bool = False
    visible: tuple[str, ...] | None = None
    """Patterns of the names that the reader may see (``permissions.names_open_to``); None for any."""


def filter_of(query: Query, now: datetime) -> InstanceFilter:
    """What a query stands for at that moment; from then on it does not move, whatever the query says of hours ago."""
    created_from, created_to = query.created.at(now)
    completed_from, completed_to = query.completed.at(now)
    name, instance_id = query.name, query.id
    return InstanceFilter(
        statuses=query.statuses,
        name=name.value if name and not name.is_prefix else "",
        name_prefix=name.value if name and name.is_prefix else "",
        instance_id=instance_id.value if instance_id and not instance_id.is_prefix else "",
        id_prefix=instance_id.value if instance_id and instance_id.is_prefix else "",
        created_from=created_from,
        created_to=created_to,
        parent_instance_id=query.parent or "",
        roots_only=not query.children and query.parent is None and query.id is None,
        version=query.version,
        tags=dict(query.tags),
        error_fingerprint=query.fingerprint or "",
        error_text=query.error or "",
        completed_from=completed_from,
        completed_to=completed_to,
        marks=query.marks,
    )


def query_of(where: InstanceFilter) -> Query:
    """A query that stands for the filter; ``filter_of`` makes it of that again, at whatever moment."""
    parent = where.parent_instance_id or (where.parent.instance_id if where.parent else "")
    return Query(
        statuses=where.statuses,
        marks=where.marks,
        name=_text(where.name, where.name_prefix),
        id=_text(where.instance_id, where.id_prefix),
        tags=tuple(where.tags.items()),
        version=where.version,
        parent=parent or None,
        error=where.error_text or None,
        fingerprint=where.error_fingerprint or None,
        created=Span(where.created_from, where.created_to),
        completed=Span(where.completed_from, where.completed_to),
        children=not where.roots_only and not parent and not where.instance_id and not where.id_prefix,
    )


def _text(whole: str, prefix: str) -> Text | None:
    return Text(whole) if whole else Text(prefix, is_prefix=True) if prefix else None


def filter_instances(hub: str, where: InstanceFilter, *, using: str | None = None) -> QuerySet[Instance]:
    """The instances that the filter lets through, in no order.

    All conditions but those of ``_narrowed`` have an index, on PostgreSQL tags too.
    """
    using = using or get_config().database
    rows = Instance.objects.using(using).filter(Q() if where.with_entities else ORCHESTRATION, hub=hub)
    if where.nothing or not all(storable(text) for text in _texts(where)):
        return rows.none()
    for is_set, condition in _conditions(hub, where, using):
        if is_set:
            rows = rows.filter(condition())
    if where.error_fingerprint:  # SQLite takes an index with a condition only for the same condition
        rows = rows.exclude(error_fingerprint="").filter(error_fingerprint=where.error_fingerprint)
    return _narrowed(rows, where)


def storable(text: str) -> bool:
    """Whether a text can occur in the tables at all; PostgreSQL refuses to compare with one that can't."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _conditions(hub: str, where: InstanceFilter, using: str) -> Iterator[tuple[object, Callable[[], Q]]]:
    yield where.statuses, lambda: Q(status__in=[status.value for status in where.statuses])
    yield where.name, lambda: Q(name=where.name)
    yield where.name_prefix, lambda: prefixed("name", where.name_prefix, using)
    yield where.instance_id, lambda: Q(instance_id=where.instance_id)
    yield where.id_prefix, lambda: prefixed("instance_id", where.id_prefix, using)
    yield where.created_from, lambda: Q(created_at__gte=where.created_from)
    yield where.created_to, lambda: Q(created_at__lt=where.created_to)
    yield where.parent, lambda: Q(parent_id=where.parent and where.parent.pk)
    yield where.parent_instance_id, lambda: Q(parent_id=_pk_of(hub, where.parent_instance_id, using))
    yield where.visible is not None, lambda: _visible(hub, where, using)
    yield where.roots_only, lambda: Q(parent__isnull=True)
    yield where.tags, lambda: _tags(where.tags, using)
    for mark in where.marks:
        yield True, lambda mark=mark: is_marked(mark, hub, using)  # type: ignore[misc]


def _visible(hub: str, where: InstanceFilter, using: str) -> Q:
    patterns = where.visible or ()
    return named_like(patterns, using) if where.with_entities else orchestrations_named(hub, patterns, using)


def _narrowed(rows: QuerySet[Instance], where: InstanceFilter) -> QuerySet[Instance]:
    """Conditions that are looked at row by row, among those that the others let through."""
    if where.version is not None:
        rows = rows.filter(version=where.version)
    if where.error_text:
        rows = rows.filter(status=RuntimeStatus.FAILED, error__icontains=where.error_text)
    if where.completed_from:
        rows = rows.filter(completed_at__gte=where.completed_from)
    if where.completed_to:
        rows = rows.filter(completed_at__lt=where.completed_to)
    return rows


def _texts(where: InstanceFilter) -> Iterator[str]:
    yield from (where.name, where.name_prefix, where.instance_id, where.id_prefix, where.parent_instance_id)
    yield from (where.version or "", where.error_text, where.error_fingerprint, *where.tags, *where.tags.values())


def _pk_of(hub: str, instance_id: str, using: str) -> QuerySet[Instance, int]:
    return Instance.objects.using(using).filter(hub=hub, instance_id=instance_id).values_list("pk", flat=True)[:1]


def _tags(tags: Mapping[str, str], using: str) -> Q:
    """Instances with all of the tags. Django has no containment of JSON for SQLite, and no path for every key."""
    if connections[using].vendor != "sqlite":
        return Q(tags__contains=dict(tags)) & ~Q(tags={})  # the second is the condition of the index
    return Q(
        *(HasTag(F("tags"), Func(Value(name), Value(text), template="%(expressions)s")) for name, text in tags.items())
    )


class HasTag(Func):
    """Whether a JSON object has that pair, on SQLite."""

    template = "EXISTS (SELECT 1 FROM json_each(%(expressions)s))"
    arg_joiner = ") WHERE (key, value) = ("
    output_field = BooleanField()
