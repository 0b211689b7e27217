"""Which names and ids an orchestrator may give away: only those that every table and URL can hold.

A decision that the database refuses would hold its instance up for good, so the code is told at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from orchestrations.limits import INSTANCE_ID_LENGTH, NAME_LENGTH, TAG_CHARACTERS, TAGS, VERSION_LENGTH

FORBIDDEN = frozenset("/\\#?")  # they would end or split the path segment that an id is in every URL
DOTS = (".", "..")


def instance_id_problem(instance_id: object) -> str | None:
    """What rule the instance id breaks, in words that follow the id; None for one that is allowed."""
    if not isinstance(instance_id, str):
        return f"is of the type {type(instance_id).__name__}, and an id is text: str(...) makes one of it"
    if not instance_id:
        return "is empty"
    if len(instance_id) > INSTANCE_ID_LENGTH:
        return f"has {len(instance_id)} characters; {INSTANCE_ID_LENGTH} are allowed"
    if instance_id.startswith("@"):
        return "begins with '@', which is reserved for entities: use signal_entity"
    if instance_id in DOTS:
        return "is what every client drops from a URL: there would be no address of it"
    for character in instance_id:
        if character in FORBIDDEN:
            return f"holds {character!r}; none of / \\ # ? is allowed"
        if unicodedata.category(character) in ("Cc", "Cs"):
            return f"holds the control character U+{ord(character):04X}"
    return None


def check_instance_id(instance_id: object) -> str:
    """Return the id that an orchestrator gives. Raises ValueError naming the rule that it breaks."""
    problem = instance_id_problem(instance_id)
    if problem or not isinstance(instance_id, str):
        raise ValueError(f"The instance id {ascii(instance_id)[:80]} {problem}.")
    return instance_id


def check_event_name(name: object) -> str:
    """Return the event's name. Raises ValueError for one that no event can have."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError("An external event needs a name that is not empty.")
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise ValueError(f"The name of an external event has at most {NAME_LENGTH} characters, all of them printable.")
    return name


def check_operation_name(name: object) -> str:
    """Return the name of an entity's operation. Raises ValueError for one that can't be stored."""
    if not isinstance(name, str) or len(name) > NAME_LENGTH or not name.isprintable():
        raise ValueError(f"An operation's name is text of at most {NAME_LENGTH} characters, all of them printable.")
    return name


def check_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of the tags. Raises ValueError unless they are few, short and printable text on both sides."""
    if not tags:
        return {}
    texts: list[object] = [*tags, *tags.values()]
    if len(tags) > TAGS or not all(
        isinstance(text, str) and len(text) <= TAG_CHARACTERS and text.isprintable() for text in texts
    ):
        raise ValueError(f"Tags are at most {TAGS} pairs of printable texts of up to {TAG_CHARACTERS} characters.")
    return dict(tags)


def check_patch_id(patch_id: object) -> str:
    """Return the patch's id. Raises ValueError for one that no event can have."""
    if not isinstance(patch_id, str) or not patch_id.strip():
        raise ValueError("A patch needs an id that is not empty.")
    if len(patch_id) > NAME_LENGTH or not patch_id.isprintable():
        raise ValueError(f"The id of a patch has at most {NAME_LENGTH} characters, all of them printable.")
    return patch_id


def check_version(version: object) -> str | None:
    """Return the version that an orchestrator gives, or None for none. Raises ValueError for one that can't be kept."""
    if version is None:
        return None
    if not isinstance(version, str) or len(version) > VERSION_LENGTH or not version.isprintable():
        raise ValueError(f"A version is one line of at most {VERSION_LENGTH} characters, such as '2.0'.")
    return version
