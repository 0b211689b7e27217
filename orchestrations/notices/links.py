"""Links in messages to people, and the codes beside them. Nothing that a link or a code is made of is stored.

A link names the message, its task and its recipient, signed with the site's key. It ends with the task's deadline, with
the recipient's vote, and when the task is passed on. It opens a page; what decides is a session, or the code that the
same message has in its text, typed by hand: that proves a hand, not an identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.core import signing
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from orchestrations.limits import LINK_CODES, LINK_DAYS
from orchestrations.models import HumanNotice, HumanTask, HumanVote

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SALT = "orchestrations.notices.links"
CODE_SALT = "orchestrations.notices.codes"


class InvalidLink(Exception):
    """The link was altered, is too old, or its task is gone: there is nothing to show."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link opens."""

    notice: HumanNotice
    task: HumanTask
    recipient: User
    is_used: bool
    """The recipient has voted."""
    is_void: bool
    """The task was passed on after the message was sent."""

    @property
    def is_good(self) -> bool:
        """Whether one may answer by it, once the code is right."""
        is_late = self.task.due_at is not None and self.task.due_at <= timezone.now()
        return self.task.is_live and self.recipient.is_active and not (self.is_used or self.is_void or is_late)


def token_for(notice: HumanNotice, task: HumanTask) -> str:
    """The token of the link in a message: a part of the address, without a secret in it."""
    named = [notice.pk, task.pk, notice.recipient_id, task.link_version]
    return signing.dumps(named, salt=SALT, compress=False)


def open_link(token: str, using: str) -> Link:
    """Read a token, and change nothing. Raises InvalidLink."""
    try:
        notice_id, task_id, recipient_id, version = signing.loads(token, salt=SALT, max_age=timedelta(days=LINK_DAYS))
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise InvalidLink from error
    rows = HumanNotice.objects.using(using).select_related("task", "recipient", "task__instance")
    notice = rows.defer("task__instance__input", "task__instance__output", "task__instance__failure").filter(
        pk=notice_id, task_id=task_id, recipient_id=recipient_id
    )
    found = notice.first()
    if found is None:
        raise InvalidLink
    votes = HumanVote.objects.using(using).filter(task_id=task_id, username=found.recipient.get_username())
    return Link(
        notice=found,
        task=found.task,
        recipient=found.recipient,
        is_used=votes.exists(),
        is_void=version != found.task.link_version,
    )


def code_for(notice: HumanNotice, task: HumanTask) -> str:
    """The six digits in the text of a message."""
    named = f"{notice.pk}:{task.pk}:{notice.recipient_id}:{task.link_version}"
    digest = salted_hmac(CODE_SALT, named, algorithm="sha256").hexdigest()
    return f"{int(digest, 16) % 1_000_000:06d}"


def check_code(link: Link, typed: str, using: str) -> bool:
    """Whether the code is the one of the link's message. A few wrong ones, and no code opens it any more."""
    notices = HumanNotice.objects.using(using).filter(pk=link.notice.pk, wrong_codes__lt=LINK_CODES)
    right = constant_time_compare(code_for(link.notice, link.task), "".join(typed.split()))
    if right:
        return notices.exists()
    notices.update(wrong_codes=F("wrong_codes") + 1)
    return False
