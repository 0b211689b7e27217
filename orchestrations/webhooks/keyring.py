"""The secrets of one webhook: which of them count now, and how one takes the other's place."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from orchestrations.limits import WEBHOOK_OVERLAP_SECONDS
from orchestrations.models.webhooks import SigningSecret
from orchestrations.webhooks import sealing, signatures

OVERLAP = timedelta(seconds=WEBHOOK_OVERLAP_SECONDS)


def valid_secrets(webhook: SigningSecret, now: datetime | None = None) -> list[str]:
    """The secrets that count, the present one first. Raises SecretUnreadable."""
    found = [sealing.unseal(webhook.sealed_secret)] if webhook.sealed_secret else []
    until = webhook.previous_secret_until
    if webhook.sealed_previous_secret and until is not None and (now or timezone.now()) < until:
        found.append(sealing.unseal(webhook.sealed_previous_secret))
    return found


def set_secret(webhook: SigningSecret, secret: str, *, overlap: timedelta = timedelta(0)) -> None:
    """Give the webhook, unsaved, another secret; the one before counts for ``overlap`` more.

    Raises ValueError for a secret that can't sign.
    """
    if not signatures.key_of(secret):
        raise ValueError("The secret is empty. Give the one that the sender shows, or leave one to be made.")
    keeps = bool(webhook.sealed_secret) and overlap > timedelta(0)
    webhook.sealed_previous_secret = webhook.sealed_secret if keeps else ""
    webhook.previous_secret_until = timezone.now() + overlap if keeps else None
    webhook.sealed_secret = sealing.seal(secret)


def rotate(webhook: SigningSecret) -> str:
    """Give the webhook, unsaved, a new secret, and return it; the former one counts for a while as well."""
    secret = signatures.new_secret()
    set_secret(webhook, secret, overlap=OVERLAP)
    return secret
