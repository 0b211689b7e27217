"""What is due with questions: telling whom they are put to, reminding, asking others besides, and delivering a decision
that nobody took back. Each happens once, whoever of many workers comes round to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from orchestrations.limits import NOTICE_RECIPIENTS
from orchestrations.models import AuditEntry, HumanAudience, HumanComment, HumanNotice, HumanTask, HumanVote, Instance
from orchestrations.models.audit import Deed
from orchestrations.models.clock import Now
from orchestrations.models.human import LEFT_OUT
from orchestrations.notices.channels import INBOX
from orchestrations.store.contract import Store
from orchestrations.store.human_tasks import ENGINE, audience_keys
from orchestrations.store.locking import skip_locked
from orchestrations.store.task_answers import answer_message

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger("orchestrations.notices")

BATCH = 50
PUT_OFF = timedelta(minutes=10)  # a question that can't be attended to
Kind = HumanNotice.Kind
State = HumanTask.State


def has_due(store: Store) -> bool:
    """Whether there is a task to attend to. One short look: most of the time there is none."""
    return HumanTask.objects.using(store.using).filter(hub=store.hub, next_notice_at__lte=Now()).exists()


def attend(store: Store) -> int:
    """Do what is due with a batch of tasks, in one transaction; returns how many there were."""
    using = store.using
    with transaction.atomic(using=using):
        now = store.now()
        rows = HumanTask.objects.using(using).filter(hub=store.hub, next_notice_at__lte=now)
        due = list(skip_locked(rows.order_by("next_notice_at", "pk"))[:BATCH])
        for task in due:
            _attend(store, task, now)
        if any(task.delivered_at is None and task.state == State.ANSWERED for task in due):
            store.notify_workers()
    return len(due)


def _attend(store: Store, task: HumanTask, now: datetime) -> None:
    """Attend to one. What goes wrong with it is its own affair: it is looked at again later, and the others now."""
    try:
        with transaction.atomic(using=store.using):
            Occasion(store, task, now).attend()
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("A question can't be attended to; it is tried again later. task=%s", task.pk)
        HumanTask.objects.using(store.using).filter(pk=task.pk).update(next_notice_at=now + PUT_OFF)


class Occasion:
    """One task that is due, locked."""

    def __init__(self, store: Store, task: HumanTask, now: datetime) -> None:
        self._store = store
        self._using = store.using
        self._task = task
        self._now = now
        self._channels = [channel for channel in json.loads(task.notify) if channel != INBOX]

    def attend(self) -> None:
        """Do all that is due, and say when to come again."""
        task = self._task
        following: list[datetime] = []
        if task.state == State.ANSWERED:
            self._deliver()
        elif task.is_live:
            self._ask()
            following += self._remind()
            following += self._escalate()
        task.next_notice_at = min(following, default=None)
        task.row_version += 1
        changed = ["next_notice_at", "row_version", "reminders", "state", "escalated_at", "assignee_id"]
        task.save(using=self._using, update_fields=changed)

    def _deliver(self) -> None:
        """Send the decision whose undo time is over."""
        votes = HumanVote.objects.using(self._using).filter(task_id=self._task.pk)
        vote = votes.filter(username=self._task.answered_by).first()
        if vote is not None and self._task.deliver_at is not None:
            self._store.send([answer_message(self._task, vote, self._using)])

    def _ask(self) -> None:
        """Tell those who are asked, once."""
        notices = HumanNotice.objects.using(self._using).filter(task_id=self._task.pk, kind=Kind.ASKED)
        if self._channels and not notices.exists():
            self._tell(Kind.ASKED, 1, self._people())

    def _remind(self) -> list[datetime]:
        moments = [datetime.fromisoformat(told) for told in json.loads(self._task.reminders)]
        ahead = [moment for moment in moments if moment > self._now]
        if passed := moments[: len(moments) - len(ahead)]:
            self._task.reminders = json.dumps([moment.isoformat() for moment in ahead])
            people = self._people()
            self._tell(Kind.REMINDER, int((passed[-1] - self._task.asked_at).total_seconds()), people)
            self._audit(Deed.REMINDED, {"people": len(people)})
        return ahead[:1]

    def _escalate(self) -> list[datetime]:
        """Ask others besides, and free the task for all of them."""
        task = self._task
        if task.escalation is None or task.escalate_at is None or task.escalated_at is not None:
            return []
        if task.escalate_at > self._now:
            return [task.escalate_at]
        task.escalated_at, task.state, task.assignee_id = self._now, State.ESCALATED, None
        keys = audience_keys(json.loads(task.escalation))
        HumanAudience.objects.using(self._using).bulk_create(
            [
                HumanAudience(
                    hub=task.hub, instance_id=task.instance_id, execution=task.execution, wait_id=task.wait_id, key=key
                )
                for key in keys
            ],
            ignore_conflicts=True,
        )
        said = {"task_id": task.pk, "instance_id": task.instance_id, "username": ENGINE}
        HumanComment.objects.using(self._using).create(kind=HumanComment.Kind.ESCALATED, **said)
        self._tell(Kind.ESCALATED, 1, self._people(keys))
        self._audit(Deed.ESCALATED, {"to": [key for key in keys if not key.startswith(LEFT_OUT)]})
        return []

    def _people(self, keys: Collection[str] = ()) -> Sequence[User]:
        """Who is asked and has not voted; the one that it is assigned to, where it is."""
        audience = HumanAudience.objects.using(self._using).filter(
            instance_id=self._task.instance_id, execution=self._task.execution, wait_id=self._task.wait_id
        )
        known = set(audience.values_list("key", flat=True))
        voted = HumanVote.objects.using(self._using).filter(task_id=self._task.pk).values_list("username", flat=True)
        without = {key.removeprefix(LEFT_OUT) for key in known if key.startswith(LEFT_OUT)} | set(voted)
        people = people_of(keys or known, self._using)
        if self._task.assignee_id is not None:
            people = get_user_model()._default_manager.using(self._using).filter(pk=self._task.assignee_id)
        asked = people.filter(is_active=True).exclude(**{f"{get_user_model().USERNAME_FIELD}__in": without})
        return list(asked.order_by("pk")[:NOTICE_RECIPIENTS])

    def _tell(self, kind: Kind, number: int, people: Sequence[User]) -> None:
        HumanNotice.objects.using(self._using).bulk_create(
            [
                HumanNotice(
                    hub=self._task.hub,
                    task_id=self._task.pk,
                    instance_id=self._task.instance_id,
                    kind=kind,
                    number=number,
                    channel=channel,
                    recipient_id=person.pk,
                    send_at=self._now,
                )
                for person in people
                for channel in self._channels
            ],
            ignore_conflicts=True,
        )

    def _audit(self, deed: Deed, told: dict[str, object]) -> None:
        ids = Instance.objects.using(self._using).filter(pk=self._task.instance_id)
        AuditEntry.objects.using(self._using).create(
            hub=self._task.hub,
            instance_id=ids.values_list("instance_id", flat=True).get(),
            action=deed.value,
            actor_name=ENGINE,
            details={"event": self._task.name, "title": self._task.title, **told},
            via=AuditEntry.Via.ENGINE,
        )


def people_of(keys: Collection[str], using: str) -> QuerySet[User]:
    """The people behind keys of an audience. Nobody in particular (``anyone``) is nobody here."""
    people: QuerySet[User] = get_user_model()._default_manager.using(using)
    name = get_user_model().USERNAME_FIELD
    named: dict[str, list[str]] = {}
    for key in keys:
        kind, _, value = key.partition(":")
        named.setdefault(kind, []).append(value)
    found = people.filter(groups__name__in=named.get("group", ())) | people.filter(
        **{f"{name}__in": named.get("user", ())}
    )
    pks = set(found.values_list("pk", flat=True)[:NOTICE_RECIPIENTS])
    for permission in named.get("permission", ()):
        # Of the backends it is the one whose holders of a permission can be listed, for any model of users.
        holders = ModelBackend().with_perm(permission, include_superusers=False).using(using)
        pks.update(holders.values_list("pk", flat=True)[:NOTICE_RECIPIENTS])
    return people.filter(pk__in=pks)
