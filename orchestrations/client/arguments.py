"""What callers may pass beside payloads: event names, reasons, tags, keys and instants, checked at the door.

Payloads have their own door (``orchestrations.authoring.payloads``), and instance ids theirs (``instance_ids``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PayloadRejected
from orchestrations.limits import (
    BULK_IDS,
    IDEMPOTENCY_KEY_LENGTH,
    INSTANCE_ID_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    TAG_CHARACTERS,
    TAGS,
    VERSION_LENGTH,
)


def check_event_name(name: str) -> str:
    """Return the external event's name; raises PayloadRejected when it is empty, too long or not printable."""
    if not _check_text(name, "event name", NAME_LENGTH, one_line=True).strip():
        raise PayloadRejected(
            "The event name is empty. Name the event that the orchestrator waits for.", subject="event name"
        )
    return _check_printable(name, "event name", "which no orchestrator may wait for")


def check_statuses(statuses: Iterable[RuntimeStatus | str] | None) -> tuple[RuntimeStatus, ...]:
    """Return the statuses, of which one alone may be given as it is; raises ValueError naming what is none."""
    given = (statuses,) if isinstance(statuses, str) else statuses or ()
    return tuple(RuntimeStatus(status) for status in given)


def check_reason(reason: str) -> str:
    """Return the reason of a control operation; raises PayloadRejected when it is too long or can't be stored."""
    return _check_text(reason, "reason", REASON_LENGTH)


def check_version(version: str) -> str:
    """Return the orchestration version; raises PayloadRejected when it is too long or not printable."""
    text = _check_text(version, "version", VERSION_LENGTH, one_line=True)
    return _check_printable(text, "version", "which no version of an orchestrator has")


def check_idempotency_key(key: str | None) -> str | None:
    """Return the key, or None for none; raises PayloadRejected when it is empty, too long or not printable."""
    if key is None:
        return None
    if not key:
        raise PayloadRejected("The idempotency key is empty. Leave it out, or choose one.", subject="idempotency key")
    return _check_text(key, "idempotency key", IDEMPOTENCY_KEY_LENGTH, one_line=True)


def check_tags(tags: Mapping[Any, Any] | None) -> dict[str, str]:
    """Return a copy of the tags; raises PayloadRejected unless they are few, short and text on both sides."""
    if not tags:
        return {}
    if not isinstance(tags, Mapping):
        raise PayloadRejected(
            f"The tags are of the type {type(tags).__name__}. Pass a dictionary of texts.", subject="tags"
        )
    if len(tags) > TAGS:
        raise PayloadRejected(
            f"There are {len(tags)} tags; {TAGS} are allowed. Put the rest into the input.", subject="tags"
        )
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise PayloadRejected(
                f"Tag {key!r} is not text. Tags are strings with string values.", subject="tags", path=f"$.{key}"
            )
        _check_text(key, "tag name", TAG_CHARACTERS, one_line=True)
        _check_text(value, f"tag {key!r}", TAG_CHARACTERS)
    return dict(tags)


def check_instance_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Return the ids, each once; raises PayloadRejected for none, for more than BULK_IDS, and for what is no id."""
    wanted = tuple(dict.fromkeys(ids))
    if not wanted:
        raise PayloadRejected("No instance is named. Name at least one, or give a filter.", subject="instance ids")
    if len(wanted) > BULK_IDS:
        raise PayloadRejected(
            f"{len(wanted):,} instances are named; {BULK_IDS:,} are allowed. Give a filter.", subject="instance ids"
        )
    return tuple(_check_text(instance_id, "instance id", INSTANCE_ID_LENGTH, one_line=True) for instance_id in wanted)


def check_instant(value: datetime | None, subject: str) -> datetime | None:
    """Return the instant in UTC; raises TypeError for what is no datetime, and ValueError for one that can't be meant.

    A naive one is refused because its zone would have to be guessed, and one outside of the years 1 to 9999 because no
    row that holds it could be read again.
    """
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"{subject} is of the type {type(value).__name__}. Pass an aware datetime.")
    if value.utcoffset() is None:
        raise ValueError(f"{subject} has no time zone. Pass an aware datetime, such as django.utils.timezone.now().")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{subject} is outside of the years 1 to 9999 in UTC. Choose a moment inside.") from None


def _check_printable(text: str, subject: str, why: str) -> str:
    for character in text:
        if not character.isprintable():
            raise PayloadRejected(f"The {subject} holds U+{ord(character):04X}, {why}. Remove it.", subject=subject)
    return text


def _check_text(text: str, subject: str, limit: int, *, one_line: bool = False) -> str:
    if not isinstance(text, str):
        raise PayloadRejected(f"The {subject} is of the type {type(text).__name__}. Pass text.", subject=subject)
    if len(text) > limit:
        raise PayloadRejected(
            f"The {subject} has {len(text)} characters; {limit} are allowed. Shorten it.", subject=subject
        )
    for character in text:
        code = ord(character)
        if code == 0 or 0xD800 <= code <= 0xDFFF or (one_line and (code < 0x20 or code == 0x7F)):
            raise PayloadRejected(
                f"The {subject} holds U+{code:04X}, which can't be stored or shown. Remove that character.",
                subject=subject,
            )
    return text
