"""The channels by which people are told: the inbox, which is there anyway, e-mail, and a site's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from orchestrations.conf import get_config

if TYPE_CHECKING:
    from django.contrib.auth.models import User

INBOX, EMAIL = "inbox", "email"
SUBJECTS = {
    "asked": "{}",
    "reminder": "Reminder: {}",
    "escalated": "Escalated: {}",
    "delegated": "Passed on to you: {}",
}
LINK_VIEW = "dashboard:approval_link"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a channel tells a person of a question. ``url`` is empty where the site has no SITE_URL."""

    recipient: User
    kind: str
    """``asked``, ``reminder``, ``escalated`` or ``delegated``."""
    title: str
    flow: str
    instance_id: str
    due_at: datetime | None
    url: str
    code: str

    @property
    def subject(self) -> str:
        """One line that says what it is about."""
        return SUBJECTS.get(self.kind, "{}").format(self.title)


Channel = Callable[[Notice], None]
"""Sends one message, or raises: then it is tried again later, and nothing else suffers. It may come twice."""


def channel(name: str) -> Channel:
    """The channel of that name. Raises LookupError for one that the site does not have."""
    own = (get_config().notifiers or {}).get(name)
    if own is not None:
        found: Channel = import_string(own)
        return found
    if name == EMAIL:
        return send_email
    raise LookupError(f"No channel is named {name!r}. Name it in DURABLE['NOTIFIERS'].")


def send_email(notice: Notice) -> None:
    """Send a message in plain text by Django's mail backend. Who has no address is left to the inbox."""
    if not notice.recipient.email:
        raise NoAddress
    text = render_to_string("email/question.txt", {"notice": notice})
    send_mail(notice.subject, text, None, [notice.recipient.email])


class NoAddress(Exception):
    """The person has no e-mail address; trying again would change nothing."""

    def __str__(self) -> str:
        return "The person has no e-mail address."


def url_of(token: str) -> str:
    """The address of a link, or nothing where the site's own address is not set."""
    site = get_config().site_url
    if not site:
        return ""
    try:
        path = reverse(LINK_VIEW, args=[token])
    except NoReverseMatch:
        path = f"/approvals/t/{token}/"
    return f"{site.rstrip('/')}{path}"
