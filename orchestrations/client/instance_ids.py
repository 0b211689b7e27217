"""Instance ids: which ones are allowed, and new ones. Ids that were accepted are still untrusted text for pages."""

from __future__ import annotations

import uuid

from orchestrations.core.identifiers import instance_id_problem
from orchestrations.errors import InvalidInstanceId


def new_instance_id() -> str:
    """A random id: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def check_instance_id(instance_id: str) -> str:
    """Return the id unchanged when it is allowed.

    Raises InvalidInstanceId, naming the rule that it breaks: 1 to 256 characters, no control character, none of
    ``/ \\ # ?``, not beginning with ``@`` (entities have those), not ``.`` or ``..``, nothing that
    UTF-8 can't hold.
    """
    problem = instance_id_problem(instance_id)
    if problem:
        shown = str(instance_id)[:80].encode("ascii", "backslashreplace").decode()
        raise InvalidInstanceId(
            f"The instance id '{shown}' {problem}. Choose another id, or leave it out for a new one."
        )
    return instance_id
