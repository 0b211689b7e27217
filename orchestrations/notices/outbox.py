"""Sending what people are to be told: after it is committed, each message claimed before it goes out, and retried."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from orchestrations.core.failures import message_of
from orchestrations.models import HumanNotice, Instance
from orchestrations.models.clock import Now
from orchestrations.notices.channels import NoAddress, Notice, channel, url_of
from orchestrations.notices.links import code_for, token_for
from orchestrations.store.contract import Store
from orchestrations.store.locking import skip_locked

logger = logging.getLogger("orchestrations.notices")

BATCH = 20
ATTEMPTS = 8
FIRST_PAUSE = timedelta(seconds=30)  # doubled with every attempt: the last one is about an hour after the first
ERROR_LENGTH = 300


def has_due(store: Store) -> bool:
    """Whether there is anything to send now."""
    return HumanNotice.objects.using(store.using).filter(hub=store.hub, send_at__lte=Now()).exists()


def send_due(store: Store) -> int:
    """Send a batch of what is due; returns how many messages went out. One that fails is tried again later.

    A worker that dies between sending and noting it leaves a message that is sent twice.
    """
    sent = 0
    for notice in _claim(store):
        sent += _send(notice, store.using, store.now())
    return sent


def _claim(store: Store) -> list[HumanNotice]:
    """Take messages that are due; nobody else gets them before their next attempt."""
    with transaction.atomic(using=store.using):
        now = store.now()
        rows = HumanNotice.objects.using(store.using).filter(hub=store.hub, send_at__lte=now).order_by("send_at", "pk")
        claimed = list(skip_locked(rows)[:BATCH])
        for notice in claimed:
            notice.attempts += 1
            notice.send_at = now + FIRST_PAUSE * 2 ** (notice.attempts - 1)
        HumanNotice.objects.using(store.using).bulk_update(claimed, ["attempts", "send_at"])
    return claimed


def _send(notice: HumanNotice, using: str, now: datetime) -> bool:
    try:
        if not notice.task.is_live:
            _end(notice, using, "The question was closed before.")
            return False
        channel(notice.channel)(_told(notice, using))
    except Exception as error:  # a channel is a site's own code, or a mail server: whatever goes wrong is retried
        is_over = notice.attempts >= ATTEMPTS or isinstance(error, LookupError | NoAddress)
        logger.warning("A message to a person could not be sent (attempt %d): %s", notice.attempts, error)
        if is_over:
            _end(notice, using, message_of(error) or type(error).__name__)
        else:
            HumanNotice.objects.using(using).filter(pk=notice.pk).update(error=message_of(error)[:ERROR_LENGTH])
        return False
    HumanNotice.objects.using(using).filter(pk=notice.pk).update(sent_at=now, send_at=None, error="")
    return True


def _end(notice: HumanNotice, using: str, why: str) -> None:
    HumanNotice.objects.using(using).filter(pk=notice.pk).update(send_at=None, error=why[:ERROR_LENGTH])


def _told(notice: HumanNotice, using: str) -> Notice:
    task = notice.task
    flow, instance_id = Instance.objects.using(using).values_list("name", "instance_id").get(pk=task.instance_id)
    return Notice(
        recipient=notice.recipient,
        kind=notice.kind,
        title=task.title,
        flow=flow,
        instance_id=instance_id,
        due_at=task.due_at,
        url=url_of(token_for(notice, task)),
        code=code_for(notice, task),
    )
