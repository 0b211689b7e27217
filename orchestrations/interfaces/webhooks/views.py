"""The one view: find the webhook, verify, map, act once, and answer 202; whatever goes wrong is a problem detail."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import msgspec
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from orchestrations.authoring import payloads
from orchestrations.client import OrchestrationClient
from orchestrations.client.instance_ids import check_instance_id, new_instance_id
from orchestrations.conf import get_config
from orchestrations.errors import DurableError, PayloadRejected
from orchestrations.interfaces import bodies
from orchestrations.interfaces.bodies import BodyRefused
from orchestrations.interfaces.rates import count_request
from orchestrations.interfaces.webhooks.problems import UNAVAILABLE, Problem, problem_of, response_of
from orchestrations.interfaces.webhooks.verification import Verified, verify
from orchestrations.limits import WEBHOOK_BODY_BYTES
from orchestrations.models import AuditEntry, IncomingWebhook, WebhookReceipt
from orchestrations.store.contract import OnDuplicate
from orchestrations.webhooks import mapping
from orchestrations.webhooks.mapping import MappingError

logger = logging.getLogger("orchestrations.webhooks")

RETRY = {"Retry-After": "5"}


@csrf_exempt
@transaction.non_atomic_requests
def receive(request: HttpRequest, slug: str) -> HttpResponse:
    """Take one request. Exempt from CSRF because cookies don't authenticate: the signature does."""
    try:
        return _receive(request, slug)
    except Problem as problem:
        return response_of(problem)
    except BodyRefused as refused:
        return response_of(Problem(refused.status, refused.code, str(refused), refused.headers))
    except DurableError as error:
        refusal = problem_of(error)
        if refusal.status >= 500:
            logger.error("The webhook %s can't do what it is for: %s", slug, error)
        return response_of(refusal)
    except (OperationalError, InterfaceError):
        logger.exception("The database failed while the webhook %s was served.", slug)
        return response_of(Problem(503, "unavailable", UNAVAILABLE, RETRY))
    except SuspiciousOperation as error:
        return response_of(Problem(400, "bad_request", str(error)))


def _receive(request: HttpRequest, slug: str) -> HttpResponse:
    if request.method != "POST":
        raise Problem(405, "method_not_allowed", "Webhooks take POST alone.", {"Allow": "POST"})
    rows = IncomingWebhook.objects.using(get_config().database).filter(slug=slug, enabled=True)
    webhook = rows.first()
    if webhook is None:
        raise Problem(404, "not_found", "There is no such webhook.")
    body = bodies.read(request, WEBHOOK_BODY_BYTES)
    verified = verify(webhook, request, body)
    _require_rate(webhook)
    return _act_once(webhook, request, verified, _described(request, verified, body))


def _require_rate(webhook: IncomingWebhook) -> None:
    """Only requests that are authentic count, so that nobody else uses up the sender's number."""
    if webhook.requests_per_minute is None:
        return
    count, seconds = count_request(f"webhook.{webhook.pk}")
    if count > webhook.requests_per_minute:
        raise Problem(
            429,
            "too_many_requests",
            f"This webhook takes {webhook.requests_per_minute} requests a minute. Send it again in the next one.",
            {"Retry-After": str(seconds)},
        )


def _described(request: HttpRequest, verified: Verified, body: bytes) -> dict[str, Any]:
    """What paths may lead into."""
    try:
        text = payloads.check_text(body, "the body") if body.strip() else None
    except PayloadRejected as rejected:
        raise Problem(400, "invalid_json", str(rejected), path=rejected.path) from rejected
    return {
        "body": None if text is None else msgspec.json.decode(text),
        "headers": {name.casefold(): value for name, value in request.headers.items()},
        "id": verified.message_id,
    }


def _act_once(
    webhook: IncomingWebhook, request: HttpRequest, verified: Verified, described: dict[str, Any]
) -> HttpResponse:
    """Remember the request and act, in one transaction; one that is remembered is answered and has no effect."""
    try:
        instance_id = _instance_id(webhook, described)
        value = mapping.expand(webhook.mapping, described) if webhook.mapping is not None else described["body"]
        event_name = mapping.expand_to_text(webhook.event_name, described)
    except MappingError as error:
        raise Problem(422, "mapping_failed", str(error), path=error.path) from error
    client = OrchestrationClient(
        webhook.hub,
        via=AuditEntry.Via.WEBHOOK,
        actor=f"webhook {webhook.name}",
        address=request.META.get("REMOTE_ADDR"),
    )
    with transaction.atomic(using=client.using):
        if (known := _remember(webhook, verified, instance_id, client.using)) is not None:
            return JsonResponse({"instance_id": known, "duplicate": True}, status=202)
        if webhook.act == IncomingWebhook.Act.START:
            client.start_new(webhook.orchestrator, instance_id, value, on_duplicate=OnDuplicate.RETURN_EXISTING)
        else:
            client.raise_event(instance_id, event_name, value)
    return JsonResponse({"instance_id": instance_id, "duplicate": False}, status=202)


def _instance_id(webhook: IncomingWebhook, described: dict[str, Any]) -> str:
    if not webhook.instance_id:
        return new_instance_id()
    return check_instance_id(mapping.expand_to_text(webhook.instance_id, described))


def _remember(webhook: IncomingWebhook, verified: Verified, instance_id: str, using: str) -> str | None:
    """Write what the request is known by; the id of the instance instead where that is known already.

    Of several that come at once, the others wait for the first one's end.
    """
    forget_at = timezone.now() + timedelta(seconds=verified.remember_seconds)
    rows = WebhookReceipt.objects.using(using)
    for key in verified.known_by:
        try:
            with transaction.atomic(using=using):
                rows.create(webhook=webhook, message_id=key, instance_id=instance_id, forget_at=forget_at)
        except IntegrityError:
            known = rows.filter(webhook=webhook, message_id=key).values_list("instance_id", flat=True).first()
            return known or instance_id
    return None
