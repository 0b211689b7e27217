"""Webhooks of either direction as people and programs keep them, whatever the interface: checked, saved and audited.

Who may look at webhooks, or change them at all, is seen to at each door. Here is what a webhook may not lead to: more
than whoever keeps it may do or see. A secret that is made is returned once, and can't be read again.

``person`` is whoever acts, a program among them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from orchestrations.access import audit
from orchestrations.access.api_keys import KeyHolder
from orchestrations.access.permissions import Action, require
from orchestrations.client.arguments import check_reason
from orchestrations.core.http_messages import shown_uri
from orchestrations.errors import PermissionRefused, WebhookExists, WebhookNotFound, WebhookRejected
from orchestrations.models import IncomingWebhook, OutgoingWebhook, WebhookDelivery
from orchestrations.models.audit import Deed
from orchestrations.patterns import ANY
from orchestrations.store import get_store
from orchestrations.webhooks import keyring, rules

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person
    from orchestrations.client import OrchestrationClient

Webhook = OutgoingWebhook | IncomingWebhook
Kind = TypeVar("Kind", OutgoingWebhook, IncomingWebhook)

EVERY_HUB = ""
WHAT_IS_SENT = frozenset({"include_payloads", "url", "events", "hub", "name_pattern"})
SECRET_COLUMNS = ("sealed_secret", "sealed_previous_secret", "previous_secret_until")
NEEDS = {IncomingWebhook.Act.START.value: Action.START, IncomingWebhook.Act.RAISE_EVENT.value: Action.RAISE_EVENT}


# Looking ----------------------------------------------------------------------------------------------------------


def reach(kind: type[Kind], client: OrchestrationClient, person: Person) -> QuerySet[Kind]:
    """The webhooks of the client's task hub, among outgoing ones also those of every hub.

    A key of one hub has that hub's alone. Raises PermissionRefused for a key that ends at certain names: webhooks
    don't.
    """
    return kind._default_manager.using(client.using).filter(hub__in=_hubs(kind, client, person))


def find(kind: type[Kind], pk: int, client: OrchestrationClient, person: Person) -> Kind:
    """The webhook of that number. Raises WebhookNotFound, and PermissionRefused as ``reach`` does."""
    return _one(kind, reach(kind, client, person), pk)


def messages(client: OrchestrationClient, webhook: OutgoingWebhook) -> QuerySet[WebhookDelivery]:
    """The webhook's messages about the client's task hub."""
    return WebhookDelivery.objects.using(client.using).filter(webhook_id=webhook.pk, hub=client.hub)


def find_message(client: OrchestrationClient, webhook: OutgoingWebhook, pk: int) -> WebhookDelivery:
    """The webhook's message of that number. Raises WebhookNotFound."""
    row = messages(client, webhook).filter(pk=pk).first()
    if row is None:
        raise WebhookNotFound("message of the webhook", pk)
    return row


def _one(kind: type[Kind], rows: QuerySet[Kind], pk: int) -> Kind:
    row = rows.filter(pk=pk).first()
    if row is None:
        raise WebhookNotFound(str(kind._meta.verbose_name), pk)
    return row


def _hubs(kind: type[Webhook], client: OrchestrationClient, person: Person) -> tuple[str, ...]:
    key = person.key if isinstance(person, KeyHolder) else None
    if key is not None and key.names != ANY:
        raise PermissionRefused(f"The API key {key.name!r} ends at {key.names!r}, and webhooks are of all names.")
    is_of_one_hub = kind is IncomingWebhook or (key is not None and key.hub)
    return (client.hub,) if is_of_one_hub else (client.hub, EVERY_HUB)


# Keeping ----------------------------------------------------------------------------------------------------------


@sensitive_variables("secret")
def create(client: OrchestrationClient, person: Person, webhook: Kind, *, secret: str = "", reason: str = "") -> str:
    """Save a new webhook, and return the secret that was made for it; nothing where the sender's was given.

    Raises WebhookRejected, WebhookExists and PermissionRefused.
    """
    _require_sense(webhook, _hubs(type(webhook), client, person), secret)
    return save(client, person, webhook, secret=secret, reason=reason)


@sensitive_variables("secret")
def change(
    client: OrchestrationClient,
    person: Person,
    webhook: Kind,
    values: Mapping[str, Any],
    *,
    reason: str = "",
) -> Kind:
    """Set these fields of the webhook as it is now, and return it; the others stay as they are, whoever sets them.

    Raises as ``create`` does, and WebhookNotFound where it is gone.
    """
    kind = type(webhook)
    with transaction.atomic(using=client.using):
        row = _one(kind, reach(kind, client, person).select_for_update(), webhook.pk)
        changed = {field for field, value in values.items() if getattr(row, field) != value}
        for field in changed:
            setattr(row, field, values[field])
        _require_sense(row, _hubs(kind, client, person))
        save(client, person, row, changed, reason=reason)
    return row


@sensitive_variables("secret")
def save(
    client: OrchestrationClient,
    person: Person,
    webhook: Webhook,
    changed: Collection[str] = (),
    *,
    secret: str = "",
    reason: str = "",
) -> str:
    """Save a webhook that makes sense, and return the secret where one was made; without a change there is none.

    ``changed`` are the fields to write of one that exists. A payload is sent to where somebody says who sees payloads,
    and what a webhook does must be allowed to whoever saves it: else PermissionRefused. An outgoing one that is enabled
    again begins anew. Raises WebhookExists.
    """
    is_new = webhook.pk is None
    if not (is_new or changed or secret):
        return ""
    _require_rights(person, webhook, WHAT_IS_SENT if is_new else changed)
    made = _give_secret(webhook, secret)
    columns = {*changed, *(SECRET_COLUMNS if secret or made else ())}
    if isinstance(webhook, OutgoingWebhook) and webhook.enabled and "enabled" in changed:
        webhook.failing_since, webhook.disabled_reason = None, ""
        columns |= {"failing_since", "disabled_reason"}
    with transaction.atomic(using=client.using):
        try:
            with transaction.atomic(using=client.using):
                webhook.save(using=client.using, update_fields=None if is_new else columns)
        except IntegrityError as error:
            raise WebhookExists(webhook.name) from error
        if is_new or changed:
            told = {"address": _address(webhook)} | ({} if is_new else {"changed": sorted(changed)})
            _note(client, Deed.MADE_WEBHOOK if is_new else Deed.CHANGED_WEBHOOK, webhook, told, reason)
        if secret and not is_new:
            _note(client, Deed.ROTATED_SECRET, webhook, {}, reason)
    return made


@sensitive_variables("secret", "made")
def rotate(client: OrchestrationClient, webhook: Kind, *, secret: str = "", reason: str = "") -> str:
    """Give the webhook another secret, the sender's or a new one, which is returned; the former counts for a day more.

    Raises WebhookRejected for a secret that can't sign, and WebhookNotFound where the webhook is gone.
    """
    if secret and (problem := rules.problem_of_secret(secret)):
        raise WebhookRejected({"secret": [problem]})
    kind = type(webhook)
    with transaction.atomic(using=client.using):
        row = _one(kind, kind._default_manager.using(client.using).select_for_update(), webhook.pk)
        made = "" if secret else keyring.rotate(row)
        if secret:
            keyring.set_secret(row, secret, overlap=keyring.OVERLAP)
        row.save(update_fields=SECRET_COLUMNS)
        _note(client, Deed.ROTATED_SECRET, row, {}, reason)
    for column in SECRET_COLUMNS:
        setattr(webhook, column, getattr(row, column))
    return made


def delete(client: OrchestrationClient, webhook: Webhook, *, reason: str = "") -> None:
    """Delete the webhook. What is left of its messages and receipts is swept; no message of it is sent any more."""
    with transaction.atomic(using=client.using):
        _note(client, Deed.DELETED_WEBHOOK, webhook, {"address": _address(webhook)}, reason)
        webhook.delete(using=client.using)


def send_again(client: OrchestrationClient, messages: Iterable[int], *, reason: str = "") -> list[WebhookDelivery]:
    """Put messages, by number, back into the outbox with all their attempts before them, and return them.

    Whether they are dead, delivered or waiting makes no difference: each is sent once more at least.
    """
    again = {"state": WebhookDelivery.State.PENDING, "attempts": 0, "delivered_at": None}
    why = check_reason(reason)
    rows = WebhookDelivery.objects.using(client.using).filter(pk__in=list(messages))
    with transaction.atomic(using=client.using):
        rows.update(**again, next_attempt_at=get_store(client.hub, client.using).now())
        sent = list(rows.order_by("pk"))
        webhooks = OutgoingWebhook.objects.using(client.using).filter(pk__in={row.webhook_id for row in sent})
        names = dict(webhooks.values_list("pk", "name"))
        told: dict[str, dict[str, dict[str, Any]]] = {}
        for row in sent:
            of_instance = told.setdefault(row.hub, {}).setdefault(row.instance_id, {"messages": []})
            of_instance["messages"].append(row.message_id)
            of_instance["webhook"] = names.get(row.webhook_id, "")
        for hub, details in told.items():
            audit.record_each(_actor(client), Deed.SENT_AGAIN, hub, details, client.using, reason=why)
    return sent


# What is looked at ------------------------------------------------------------------------------------------------


def _require_sense(webhook: Webhook, hubs: Collection[str], secret: str = "") -> None:
    given = {field.name: getattr(webhook, field.name) for field in webhook._meta.concrete_fields}
    is_outgoing = isinstance(webhook, OutgoingWebhook)
    errors: dict[str, list[str]] = {}
    for field, problem in rules.problems_of_outgoing(given) if is_outgoing else rules.problems_of_incoming(given):
        errors.setdefault(field, []).append(problem)
    if webhook.hub not in hubs:
        named = " or ".join(repr(hub) for hub in hubs)
        errors["hub"] = [f"Webhooks of another task hub are not kept here. Name {named}."]
    if secret and (problem := rules.problem_of_secret(secret)):
        errors["secret"] = [problem]
    try:
        webhook.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        errors = {**error.message_dict, **errors}
    if errors:
        raise WebhookRejected(errors)


def _require_rights(person: Person, webhook: Webhook, changed: Collection[str]) -> None:
    if isinstance(webhook, IncomingWebhook):
        require(person, NEEDS[webhook.act])
    elif webhook.include_payloads and not WHAT_IS_SENT.isdisjoint(changed):
        require(person, Action.VIEW_PAYLOADS)


@sensitive_variables("secret")
def _give_secret(webhook: Webhook, secret: str) -> str:
    """Set the secret that was given, or make one for a webhook without any, and return that."""
    if secret:
        keyring.set_secret(webhook, secret, overlap=keyring.OVERLAP)
        return ""
    return "" if webhook.sealed_secret else keyring.rotate(webhook)


def _address(webhook: Webhook) -> str:
    """Without what senders of such addresses hide in queries."""
    return shown_uri(webhook.url) if isinstance(webhook, OutgoingWebhook) else webhook.slug


def _note(client: OrchestrationClient, deed: Deed, webhook: Webhook, details: Mapping[str, Any], reason: str) -> None:
    """A row in the trail of the webhook's task hub; of one for every hub, in that of the client's."""
    told = {"webhook": webhook.name, **details}
    where = webhook.hub or client.hub
    audit.record(_actor(client), deed, where, [""], client.using, reason=check_reason(reason), details=told)


def _actor(client: OrchestrationClient) -> audit.Actor:
    if client.actor is None:
        raise PermissionRefused("Webhooks are kept by somebody. Make the client with an actor.")
    return client.actor
