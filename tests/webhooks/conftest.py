"""The engine in this process, a receiver that answers as the test says, and webhooks that lead to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrations.core.lifecycle import LifecycleEvent
from orchestrations.models import OutgoingWebhook, WebhookDelivery
from orchestrations.store import get_store
from orchestrations.webhooks import keyring
from orchestrations.webhooks.courier import Courier
from orchestrations.webhooks.outbox import Outbox
from tests.durable_http.conftest import Answer, Server, allow, server, spy
from tests.runtime.conftest import cache_size, client, durable, make_worker, run, stage, worker

__all__ = ["allow", "cache_size", "client", "durable", "make_worker", "run", "server", "spy", "stage", "worker"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver(server: Server, allow) -> Server:
    """A server that may be reached, and that accepts what comes to /hook."""
    allow("127.0.0.1")
    server.answers["/hook"] = Answer(204)
    return server


@pytest.fixture
def listen(transactional_db: None, receiver: Server) -> Callable[..., OutgoingWebhook]:
    """Makes a webhook to the receiver; of all events unless told."""

    def listen(*events: str, **columns: object) -> OutgoingWebhook:
        webhook = OutgoingWebhook(
            **{"name": f"partner {OutgoingWebhook.objects.count()}", "url": f"{receiver.url}/hook", **columns}
        )
        webhook.events = list(events) or [event.value for event in LifecycleEvent]
        keyring.set_secret(webhook, SECRET)
        webhook.save()
        return webhook

    return listen


@pytest.fixture
def courier(transactional_db: None, receiver: Server) -> Courier:
    store = get_store()
    return Courier(store, Outbox(store.hub, store.using))


@pytest.fixture
def message(listen) -> Callable[..., WebhookDelivery]:
    """Puts a message for a webhook into the outbox."""

    def message(webhook: OutgoingWebhook | None = None, **columns: object) -> WebhookDelivery:
        given = {"hub": "default", "message_id": f"msg_{WebhookDelivery.objects.count()}", "event": "completed"}
        given |= {"instance_pk": 1, "instance_id": "order", "execution": 1, "body": '{"type": "x", "data": {}}'}
        row = WebhookDelivery.objects.create(webhook=webhook or listen(), **{**given, **columns})
        row.refresh_from_db()
        return row

    return message
