"""What a row of the audit trail tells beside who, when and why: its details in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

WORDS = {
    "event": "event {}",
    "operation": "operation {}",
    "title": "“{}”",
    "outcome": "answer: {}",
    "to": "to {}",
    "people": "{} people",
    "was": "was {}",
    "orchestrator": "orchestrator {}",
    "restarted": "again what was {}",
    "forked": "from {}",
    "step": "at step {}",
    "task": "task {}",
    "activity": "activity {}",
    "ended": "ended as {}",
    "by": "by {}",
    "job": "bulk job {}",
    "act": "to {}",
    "instances": "{} instances deleted",
    "execution": "execution {}",
    "events": "of {} events",
    "removed": "{} removed",
    "released": "{} released",
    "event_name": "event {}",
    "key": "key {}",
    "prefix": "that begins with {}",
    "verbs": "for {}",
    "acts": "of {}",
    "names": "on {}",
    "hub": "in {}",
    "webhook": "webhook {}",
    "messages": "messages {}",
    "changed": "changed: {}",
}
"""How each detail is said, in this order; one that is not here is said by its name, after them."""

PLACES = defaultdict(lambda: len(WORDS), {name: place for place, name in enumerate(WORDS)})
OF_TAGS = frozenset({"set", "removed", "before"})


def told(details: Mapping[str, Any]) -> list[str]:
    """The details as short phrases, first what became of tags. The database does not keep their order."""
    of_tags = _tags(details)
    others = [name for name in sorted(details, key=PLACES.__getitem__) if not (of_tags and name in OF_TAGS)]
    return of_tags + [phrase for name in others if (phrase := _phrase(name, details[name]))]


def _tags(details: Mapping[str, Any]) -> list[str]:
    changes, removed, before = dict(details.get("set", {})), details.get("removed"), details.get("before", {})
    if isinstance(removed, list):  # elsewhere it is a number
        changes |= dict.fromkeys(removed)
    return [_tag(name, value, before.get(name)) for name, value in changes.items()]


def _tag(name: str, value: str | None, former: str | None) -> str:
    if value is None:
        return f"tag {name} removed{'' if former is None else f', was {former}'}"
    return f"tag {name}: {'' if former is None else f'{former} → '}{value}"


def _phrase(name: str, value: Any) -> str:
    if name == "recursive":
        return "with its sub-orchestrations" if value else "without its sub-orchestrations"
    if name == "former":
        return f"before: {', '.join(_phrase(part, given) for part, given in value.items())}"
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return "" if shown in ("", None) else WORDS.get(name, f"{name.replace('_', ' ')}: {{}}").format(shown)
