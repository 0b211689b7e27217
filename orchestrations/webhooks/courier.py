"""The courier: sends what the outbox holds, on threads of its own beside the drain loop, until it is delivered or dead.

Each message is sent at least once: its attempt is counted, and the next one fixed, before anything goes out. Addresses
are checked, and connections pinned to what was checked, as for ``call_http``; redirects are not followed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import F

from orchestrations.conf import get_config
from orchestrations.core.http_messages import HttpRequest
from orchestrations.durable_http import answers, sending
from orchestrations.errors import HttpRequestFailed, SecretUnreadable
from orchestrations.limits import WEBHOOK_FAILING_SECONDS, WEBHOOK_TIMEOUT_SECONDS
from orchestrations.models import OutgoingWebhook, WebhookDelivery, WebhookReceipt
from orchestrations.store.locking import skip_locked
from orchestrations.webhooks import keyring, signatures
from orchestrations.webhooks.enclosures import with_payloads

if TYPE_CHECKING:
    from orchestrations.store.contract import Store
    from orchestrations.webhooks.outbox import Outbox

logger = logging.getLogger("orchestrations.webhooks")

RETRY_SECONDS = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400)  # after each attempt; behind the last it is dead
JITTER = 0.2  # of a pause, either way: what failed together does not come back together
CLAIMED = timedelta(seconds=60)  # after which another worker sends what a killed one had in hand; several time-outs
LOOK_SECONDS = 2.0  # between two looks for what is due again
AT_ONCE = 16  # messages on their way from one worker process
AT_ONCE_TO_ONE = 4  # of them to one address, so that one that hangs leaves room for the others
CHORE = "webhook deliveries"
SWEEP_BATCH = 500
SWEEP_PAUSE, SWEEP_NEXT = timedelta(hours=1), timedelta(seconds=1)
GONE = 410
TOLD_TO_WAIT = frozenset({429, 503})
LONGEST_WAIT = timedelta(days=1)  # whatever Retry-After says


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt ended; ``status`` None where there was no answer, ``retry_at`` where the receiver named a time."""

    status: int | None
    error: str = ""
    wait_seconds: float | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has the message."""
        return self.status is not None and 200 <= self.status <= 299


class Courier:
    """Sends the deliveries of one task hub from this process."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._looked_at = self._swept_at = time.monotonic()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Look for what is due, now and then. Without webhooks there is nothing but to sweep, once an hour."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            if self._outbox.subscriptions() or now - self._swept_at >= SWEEP_PAUSE.total_seconds():
                self._swept_at = now
                self.hurry()

    def hurry(self) -> None:
        """Look for what is due at once, on the courier's thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhook-courier", daemon=True)
            self._thread.start()
        self._wake.set()

    def stop(self, seconds: float) -> None:
        """Take nothing up any more, and wait a while for what is on its way. What is given up is sent again."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                self.deliver_due()
                self.sweep()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("Webhooks are looked at again later: %s", error)
            except Exception:  # the edge of the thread: a defect in one message must not end all delivery
                logger.exception("Delivering webhooks failed; it is tried again.")
            finally:
                connections.close_all()

    # Sending -----------------------------------------------------------------------------------------------------

    def deliver_due(self) -> int:
        """Send everything that is due, and return how many messages were accepted."""
        accepted = 0
        on_the_way: dict[Future[Answer], tuple[OutgoingWebhook, WebhookDelivery]] = {}
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as senders:
            while True:
                if not self._stopping.is_set():
                    for webhook, delivery in self._claim(list(on_the_way.values())):
                        sent = self._prepared(senders, webhook, delivery)
                        on_the_way[sent] = (webhook, delivery)
                if not on_the_way:
                    return accepted
                ended, _ = wait(on_the_way, return_when=FIRST_COMPLETED)
                for future in ended:
                    accepted += self._record(*on_the_way.pop(future), future.result())

    def _claim(
        self, on_the_way: list[tuple[OutgoingWebhook, WebhookDelivery]]
    ) -> list[tuple[OutgoingWebhook, WebhookDelivery]]:
        """Take what is due and has room, webhook by webhook; the attempt counts from here on."""
        claimed: list[tuple[OutgoingWebhook, WebhookDelivery]] = []
        rows = WebhookDelivery.objects.using(self._store.using)
        for subscription in self._outbox.subscriptions():
            pk = subscription.webhook_pk
            room = min(
                AT_ONCE_TO_ONE - sum(webhook.pk == pk for webhook, _ in on_the_way),
                AT_ONCE - len(on_the_way) - len(claimed),
            )
            if room <= 0:
                continue
            now = self._store.now()
            pending = rows.filter(webhook_id=pk, hub=self._store.hub, state=WebhookDelivery.State.PENDING)
            with transaction.atomic(self._store.using):
                due = pending.filter(next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
                taken = list(skip_locked(due)[:room])
                if not taken:
                    continue
                again = {"attempts": F("attempts") + 1, "next_attempt_at": now + CLAIMED}
                rows.filter(pk__in=[delivery.pk for delivery in taken]).update(**again)
            webhook = OutgoingWebhook.objects.using(self._store.using).filter(pk=pk, enabled=True).first()
            for delivery in taken if webhook is not None else ():
                assert webhook is not None
                delivery.attempts += 1
                claimed.append((webhook, delivery))
        return claimed

    def _prepared(
        self, senders: ThreadPoolExecutor, webhook: OutgoingWebhook, delivery: WebhookDelivery
    ) -> Future[Answer]:
        """Hand the message to a thread that only sends; what it takes of the database is read here."""
        try:
            secrets = keyring.valid_secrets(webhook, self._store.now())
        except SecretUnreadable as error:
            failed: Future[Answer] = Future()
            failed.set_result(Answer(None, str(error)))
            return failed
        body = with_payloads(delivery, self._store.using) if webhook.include_payloads else delivery.body
        return senders.submit(send, webhook.url, secrets, delivery.message_id, body)

    # What became of it -------------------------------------------------------------------------------------------

    def _record(self, webhook: OutgoingWebhook, delivery: WebhookDelivery, answer: Answer) -> bool:
        """Write how an attempt ended, unless another has begun meanwhile; True where the message was accepted."""
        now = self._store.now()
        changes: dict[str, object] = {"last_status": answer.status, "last_error": answer.error[:300]}
        if answer.is_accepted:
            changes |= {"state": WebhookDelivery.State.DELIVERED, "delivered_at": now, "next_attempt_at": None}
        elif delivery.attempts > len(RETRY_SECONDS) or answer.status == GONE:
            logger.error("A webhook message is given up. webhook=%s message=%s", webhook.name, delivery.message_id)
            changes |= {"state": WebhookDelivery.State.DEAD, "next_attempt_at": None}
        else:
            changes["next_attempt_at"] = now + _pause(delivery.attempts, answer)
        attempt = WebhookDelivery.objects.using(self._store.using).filter(
            pk=delivery.pk, attempts=delivery.attempts, state=WebhookDelivery.State.PENDING
        )
        attempt.update(**changes)
        self._judge(webhook, answer, now)
        return answer.is_accepted

    def _judge(self, webhook: OutgoingWebhook, answer: Answer, now: datetime) -> None:
        """Note since when an address fails, and disable one that has failed for long or says that it is gone."""
        rows = OutgoingWebhook.objects.using(self._store.using).filter(pk=webhook.pk, enabled=True)
        if answer.is_accepted:
            if webhook.failing_since is not None:
                rows.update(failing_since=None)
            return
        if webhook.failing_since is None:
            rows.filter(failing_since__isnull=True).update(failing_since=now)
        reason = ""
        if answer.status == GONE:
            reason = "The receiver answered 410 Gone: it wants no more messages."
        elif webhook.failing_since is not None and (now - webhook.failing_since).total_seconds() > (
            WEBHOOK_FAILING_SECONDS
        ):
            reason = f"No message was accepted since {webhook.failing_since:%Y-%m-%d %H:%M} UTC. Last: {answer.error}"
        if reason and rows.update(enabled=False, disabled_reason=reason[:300]):
            logger.error("A webhook is disabled. webhook=%s reason=%s", webhook.name, reason)

    # Old ones ----------------------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """Delete a batch of old deliveries and receipts, one worker at a time; returns how many deliveries went."""
        if not self._store.take_chore(CHORE, CLAIMED):
            return 0
        before = self._store.now() - timedelta(days=get_config().webhook_days)
        rows = WebhookDelivery.objects.using(self._store.using)
        old = list(rows.filter(created_at__lt=before).order_by("created_at").values_list("pk", flat=True)[:SWEEP_BATCH])
        rows.filter(pk__in=old).delete()
        receipts = WebhookReceipt.objects.using(self._store.using)
        forgotten = receipts.filter(forget_at__lt=self._store.now()).order_by("forget_at")
        receipts.filter(pk__in=list(forgotten.values_list("pk", flat=True)[:SWEEP_BATCH])).delete()
        self._store.finish_chore(CHORE, SWEEP_NEXT if len(old) == SWEEP_BATCH else SWEEP_PAUSE)
        return len(old)


def send(url: str, secrets: list[str], message_id: str, body: str) -> Answer:
    """One attempt: sign with the time of now, post, and read the answer. Raises nothing."""
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures.sign(secrets, message_id, timestamp, body.encode()),
    }
    request = HttpRequest("POST", url, headers, body)
    try:
        return asyncio.run(_exchange(request))
    except TimeoutError:
        return Answer(None, f"There was no answer within {WEBHOOK_TIMEOUT_SECONDS:g} seconds.")
    except HttpRequestFailed as error:
        return Answer(None, str(error))
    except Exception as error:  # the edge to the receiver: whatever it does is one attempt that failed
        logger.exception("A webhook message could not be sent. message=%s", message_id)
        return Answer(None, f"The attempt failed: {type(error).__name__}.")


async def _exchange(request: HttpRequest) -> Answer:
    async with asyncio.timeout(WEBHOOK_TIMEOUT_SECONDS):
        response, _ = await sending.exchange(request)
    status = response.status_code
    if 200 <= status <= 299:
        return Answer(status)
    if status in sending.REDIRECTS:
        return Answer(status, f"The receiver redirects ({status}), which is not followed. Give the final address.")
    wait_seconds = answers.seconds_to_wait(response.headers, 0.0) if status in TOLD_TO_WAIT else None
    return Answer(status, f"The receiver answered {status}.", wait_seconds)


def _pause(attempts: int, answer: Answer) -> timedelta:
    """Until the next attempt: as the schedule says, or longer where the receiver asks for it."""
    chance = random.SystemRandom().uniform(1 - JITTER, 1 + JITTER)
    scheduled = timedelta(seconds=RETRY_SECONDS[attempts - 1] * chance)
    return max(scheduled, min(timedelta(seconds=answer.wait_seconds or 0.0), LONGEST_WAIT))
