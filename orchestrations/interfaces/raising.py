"""Events that are raised from outside for a question to people: judged by its form, whatever the interface."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import transaction

from orchestrations.access import audit
from orchestrations.access.permissions import Action, require
from orchestrations.authoring.forms import binding
from orchestrations.authoring.forms.shapes import FormDescription
from orchestrations.client import OrchestrationClient, SerializedJson
from orchestrations.client.answering import errors_of
from orchestrations.errors import AnswerRejected
from orchestrations.models import HumanTask, Instance

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person


def raise_event(
    client: OrchestrationClient,
    person: Person | None,
    instance: Instance,
    event_name: str,
    event_data: object = None,
    *,
    idempotency_key: str | None = None,
    unvalidated: bool = False,
) -> None:
    """Raise an event as the client does, unless the instance asks people that very question with a form.

    Then what a person raises is that person's answer, one vote like any other; what a program raises has to be what the
    form lets through, and is delivered at once. With ``unvalidated`` it is raised as it stands, which needs the
    permission of that name of a person, and is marked in the audit trail.

    Raises what ``client.raise_event`` and ``client.answer_task`` do.
    """
    task = _question(instance, event_name, client.using)
    if task is None:
        client.raise_event(instance.instance_id, event_name, event_data, idempotency_key=idempotency_key)
        return
    if unvalidated:
        if person is not None:
            require(person, Action.RAISE_UNVALIDATED, instance)
        with transaction.atomic(using=client.using):
            client.raise_event(instance.instance_id, event_name, event_data, idempotency_key=idempotency_key)
            if client.actor is not None:
                told = {"event": event_name, "title": task.title}
                deed = Action.RAISE_UNVALIDATED
                audit.record(client.actor, deed, client.hub, [instance.instance_id], client.using, details=told)
        return
    value = _value(event_data)
    if person is not None:
        client.answer_task(task.pk, value)
        return
    client.raise_event(instance.instance_id, event_name, _checked(task, value), idempotency_key=idempotency_key)


def _question(instance: Instance, event_name: str, using: str) -> HumanTask | None:
    """The oldest open question with a form of its own that the event would answer. Asked where a wait has a title."""
    waits = [wait for wait in instance.open_waits.all() if wait.title and wait.name.casefold() == event_name.casefold()]
    if not waits:
        return None
    rows = HumanTask.objects.using(using).filter(instance_id=instance.pk, execution=instance.execution)
    rows = rows.filter(wait_id__in=[wait.wait_id for wait in waits], state__in=HumanTask.LIVE).order_by("wait_id")
    return next((task for task in rows if not json.loads(task.schema).get("plain")), None)


def _value(event_data: object) -> Any:
    return json.loads(event_data.text) if isinstance(event_data, SerializedJson) else event_data


def _checked(task: HumanTask, value: Any) -> Any:
    stored = FormDescription.of(json.loads(task.schema))
    form = binding.bind_payload(stored, value)
    if not binding.check_form(form):
        raise AnswerRejected(errors_of(form, stored), form)
    return binding.cleaned_payload(form)
