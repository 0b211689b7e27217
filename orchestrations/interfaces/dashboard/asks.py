"""Questions to people, as pages show them: what is asked, and whether this person may answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse

from orchestrations import queries
from orchestrations.interfaces.answers import json_object
from orchestrations.interfaces.dashboard.forms import AnswerForm
from orchestrations.models import Instance, OpenWait
from orchestrations.permissions import can_answer

if TYPE_CHECKING:
    from orchestrations.permissions import Person

ASKS_SHOWN = 5  # questions of one instance that its page shows with their forms


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, as a page shows it."""

    wait: OpenWait
    form: AnswerForm
    summary: list[tuple[str, str]]
    groups: list[str]
    may_answer: bool
    url: str


def ask_of(wait: OpenWait, instance: Instance, user: Person, form: AnswerForm | None = None) -> Ask:
    """What to show of one wait to this person."""
    told = json_object(wait.request)
    summary, groups = told.get("summary"), told.get("groups")
    return Ask(
        wait=wait,
        form=form or AnswerForm(auto_id=f"id_%s_{wait.pk}"),
        summary=[(str(label), _words(text)) for label, text in summary.items()] if isinstance(summary, dict) else [],
        groups=[str(name) for name in groups] if isinstance(groups, list) else [],
        may_answer=can_answer(user, wait),
        url=reverse("dashboard:approval", args=[instance.hub, instance.instance_id, wait.pk]),
    )


def asks_of(instance: Instance, user: Person) -> list[Ask]:
    """The questions that an instance asks, the most urgent first."""
    waits = queries.open_waits(instance.hub, instance=instance, asked_only=True, limit=ASKS_SHOWN)
    return [ask_of(wait, instance, user) for wait in waits]


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
