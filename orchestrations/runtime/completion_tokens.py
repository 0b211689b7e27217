"""Completion tokens: who has one may complete that attempt of an activity, from anywhere.

A token names the attempt and is signed with the site's SECRET_KEY (or one of SECRET_KEY_FALLBACKS), so that nothing is
stored for it and nobody can make one. It has no end of its own: it is good for as long as the attempt is open.
"""

from __future__ import annotations

from django.core import signing

from orchestrations.errors import InvalidCompletionToken
from orchestrations.store.progress_contract import ActivityAttempt

SALT = "orchestrations.completion"


def make(hub: str, attempt: ActivityAttempt) -> str:
    """A token for that attempt of a call: letters, digits and ``:_-``."""
    named = [hub, attempt.instance_pk, attempt.execution, attempt.task_id, attempt.attempt]
    return signing.dumps(named, salt=SALT)


def read(hub: str, token: str) -> ActivityAttempt:
    """The attempt that a token was made for. Raises InvalidCompletionToken, also for a token of another hub."""
    try:
        named, *numbers = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise InvalidCompletionToken from error
    if named != hub:
        raise InvalidCompletionToken
    return ActivityAttempt(*numbers)
