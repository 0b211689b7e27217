"""Instance ids: which ones are allowed, and new ones. Ids that were accepted are still untrusted text for pages."""

from __future__ import annotations

import unicodedata
import uuid

from orchestrations.errors import InvalidInstanceId
from orchestrations.limits import INSTANCE_ID_LENGTH

FORBIDDEN = frozenset("/\\#?")  # they would end or split the path segment that an id is in every URL


def new_instance_id() -> str:
    """A random id: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def check_instance_id(instance_id: str) -> str:
    """Return the id unchanged when it is allowed.

    Raises InvalidInstanceId, naming the rule that it breaks: 1 to 256 characters, no control character, none of
    ``/ \\ # ?``, not beginning with ``@`` (entities have those), nothing that UTF-8 can't hold.
    """
    problem = _problem(instance_id)
    if problem:
        shown = instance_id[:80].encode("ascii", "backslashreplace").decode()
        raise InvalidInstanceId(
            f"The instance id '{shown}' {problem}. Choose another id, or leave it out for a new one."
        )
    return instance_id


def _problem(instance_id: str) -> str | None:
    if not instance_id:
        return "is empty"
    if len(instance_id) > INSTANCE_ID_LENGTH:
        return f"has {len(instance_id)} characters; {INSTANCE_ID_LENGTH} are allowed"
    if instance_id.startswith("@"):
        return "begins with '@', which is reserved for entities"
    for character in instance_id:
        if character in FORBIDDEN:
            return f"holds {character!r}; none of / \\ # ? is allowed"
        if unicodedata.category(character) in ("Cc", "Cs"):
            return f"holds the control character U+{ord(character):04X}"
    return None
