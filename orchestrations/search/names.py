"""Names of orchestrators as SQL conditions: those that occur in a task hub, and what is called as patterns say."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections
from django.db.models import BooleanField, F, Func, Q, Value

from orchestrations.limits import PATTERN_NAMES
from orchestrations.patterns import ANY, matches

LAST_CHARACTER = chr(0x10FFFF)  # sorts behind every character that ids are made of
OCCURRING = """
WITH RECURSIVE found(name) AS (
    SELECT min(name) FROM durable_instance WHERE hub = %s AND NOT is_entity
    UNION ALL
    SELECT (SELECT min(i.name) FROM durable_instance i WHERE i.hub = %s AND NOT i.is_entity AND i.name > found.name)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL LIMIT %s
"""


def orchestrator_names(hub: str, using: str, limit: int) -> list[str]:
    """The names that occur among the hub's instances, in alphabetical order.

    Skips from name to name along their index, in one statement, so that a million rows cost what a few hundred do.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(OCCURRING, [hub, hub, limit])
        return [name for (name,) in cursor.fetchall()]


def orchestrations_named(hub: str, patterns: Iterable[str], using: str, column: str = "name") -> Q:
    """Which instances, none of them an entity, are called as any of the patterns says.

    No index serves a pattern that begins with ``*``. Then the names that occur in the hub are compared, which takes one
    statement more, and the condition names those: the database knows how many rows they have, and takes their index
    where they have few.
    """
    patterns = tuple(patterns)
    if any(pattern.startswith(ANY) and pattern != ANY for pattern in patterns) and ANY not in patterns:
        names = orchestrator_names(hub, using, PATTERN_NAMES + 1)
        if len(names) <= PATTERN_NAMES:
            return Q((f"{column}__in", [name for name in names if any(matches(one, name) for one in patterns)]))
    return named_like(patterns, using, column)


def named_like(patterns: Iterable[str], using: str, column: str = "name") -> Q:
    """What is called as any of the patterns says. An index serves the text before ``*``."""
    condition = Q(**{f"{column}__in": []})
    for pattern in patterns:
        if pattern == ANY:
            return Q()
        condition |= _pattern(column, pattern, using)
    return condition


def _pattern(column: str, pattern: str, using: str) -> Q:
    beginning, star, rest = pattern.partition(ANY)
    if not star:
        return Q((column, pattern))
    begins = prefixed(column, beginning, using) if beginning else Q()
    return begins & _like(column, pattern, using) if rest else begins


def prefixed(column: str, prefix: str, using: str) -> Q:
    """Texts that begin with the prefix, in its own letter case.

    SQLite's LIKE ignores case and no index serves it, so there the prefix becomes a range. On PostgreSQL the column's
    collation is "C", so that LIKE finds its range itself.
    """
    if connections[using].vendor != "sqlite":
        return Q((f"{column}__startswith", prefix))
    return Q((f"{column}__gte", prefix), (f"{column}__lt", prefix + LAST_CHARACTER))


def _like(column: str, pattern: str, using: str) -> Q:
    """Compares in the pattern's own letter case: by GLOB on SQLite, whose LIKE ignores case."""
    if connections[using].vendor == "sqlite":
        operator, special = " GLOB ", {"[": "[[]", "?": "[?]"}
    else:
        operator, special = " LIKE ", {"\\": "\\\\", "%": "\\%", "_": "\\_", ANY: "%"}
    text = "".join(special.get(character, character) for character in pattern)
    return Q(Func(F(column), Value(text), template="%(expressions)s", arg_joiner=operator, output_field=BooleanField()))
