"""Questions to people, their votes and threads, as rows that the engine and the site would have left."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from django import forms
from django.contrib.auth.models import User
from django.utils import timezone
from msgspec import Meta

from orchestrations import HumanForm
from orchestrations.authoring.forms.binding import describe_form
from orchestrations.models import AuditEntry, HumanAudience, HumanComment, HumanTask, HumanVote, Instance, OpenWait
from orchestrations.models.human import NEVER
from tests import rows

SUMMARY = {"Customer": "Acme GmbH", "Total": "1,840.00 EUR", "Reason asked": "Over the 1,000 EUR limit"}


class OrderApproval(HumanForm):
    """The form of the manual."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    limit = forms.DecimalField(
        label="New limit (EUR)", min_value=0, max_value=5000, required=False, help_text="0 to 5,000"
    )
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if cleaned and cleaned.get("decision") == "reject" and not cleaned.get("reason"):
            self.add_error("reason", "Required when you reject.")
        return cleaned

    class Human:
        outcome = "decision"
        layout = ("decision", "limit", "reason")
        bulk = True


@dataclass
class Line:
    """A line of a refund."""

    article: str
    count: Annotated[int, Meta(ge=1, le=99)] = 1
    price: Decimal | None = None


@dataclass
class Address:
    """Where to."""

    street: str
    town: str


@dataclass
class Refund:
    """A form with one of everything."""

    decision: Literal["approve", "reject", "ask_again"]
    day: date
    lines: list[Line] = field(default_factory=list)
    reasons: list[Literal["late", "broken", "wrong_article"]] = field(default_factory=list)
    address: Address | None = None
    mail: str = field(default="", metadata={"label": "E-mail", "format": "email"})
    is_gift: bool = False


def ask(
    instance: Instance | str,
    title: str,
    *,
    form: object = OrderApproval,
    asked_ago: timedelta = timedelta(minutes=20),
    due_in: timedelta | None = timedelta(hours=1, minutes=12),
    groups: tuple[str, ...] = ("Finance approvers",),
    users: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    **columns: Any,
) -> HumanTask:
    """A question of a running instance, put to the finance approvers."""
    now = timezone.now()
    if isinstance(instance, str):
        instance = rows.instance(instance, name="order_flow", created_at=now - asked_ago)
    described = describe_form(form)
    due_at = None if due_in is None else now + due_in
    assignment = {"groups": groups, "users": users, "exclude": exclude, "permission": None, "rejecting": []}
    wait_id = 1 + instance.human_tasks.count()
    task = HumanTask.objects.create(
        hub=instance.hub,
        instance=instance,
        execution=1,
        wait_id=wait_id,
        title=title,
        form=described.path,
        form_version=described.version,
        schema=json.dumps(described.as_dict()),
        assignment=json.dumps(assignment),
        due_at=due_at,
        urgent_at=due_at or NEVER,
        asked_at=now - asked_ago,
        **{"name": "approval", "summary": json.dumps(SUMMARY), **columns},
    )
    keys = [f"group:{name}" for name in groups] + [f"user:{name}" for name in users] or ["anyone"]
    for key in [*(keys if task.is_live else ()), *(f"excluded:{name}" for name in exclude)]:
        HumanAudience.objects.create(hub=instance.hub, instance=instance, execution=1, wait_id=wait_id, key=key)
    AuditEntry.objects.create(
        hub=instance.hub, instance_id=instance.instance_id, action="asked", actor_name="engine", via="Engine",
        details={"event": task.name, "title": title},
    )  # fmt: skip
    if task.is_live:
        request = {**assignment, "title": title, "summary": SUMMARY}
        OpenWait.objects.create(
            hub=instance.hub, instance=instance, execution=1, wait_id=wait_id, name=task.name, since=task.asked_at,
            due_at=due_at, title=title, request=json.dumps(request),
        )  # fmt: skip
        waits = json.loads(instance.waits or "[]")
        if all(wait.get("title") != title for wait in waits):
            since = task.asked_at.isoformat()
            waits.append({"kind": "ExternalEvent", "name": task.name, "title": title, "since": since})
            instance.waits, instance.waiting_for = json.dumps(waits), title
            instance.save(update_fields=["waits", "waiting_for"])
    return task


def vote(task: HumanTask, who: str, outcome: str, comment: str = "", ago: timedelta = timedelta(minutes=9)) -> None:
    """A vote as the site would have stored it; it closes nothing."""
    person = User.objects.filter(username=who).first()
    data = json.dumps({"decision": outcome, "reason": comment})
    HumanVote.objects.create(
        task=task, instance=task.instance, user=person, username=who, at=timezone.now() - ago, outcome=outcome,
        counts_as="reject" if outcome == "reject" else "approve", data=data, comment=comment, via="Dashboard",
    )  # fmt: skip


def say(task: HumanTask, who: str, text: str, kind: str = "comment", to: str = "") -> None:
    """A line of the thread."""
    HumanComment.objects.create(task=task, instance=task.instance, username=who, text=text, kind=kind, to=to)


def closed(title: str, instance: str, state: str, ago: timedelta, **columns: Any) -> HumanTask:
    """A question that is no longer open."""
    moment = timezone.now() - ago
    return ask(instance, title, due_in=-ago, asked_ago=ago * 3, state=state, closed_at=moment, **columns)
