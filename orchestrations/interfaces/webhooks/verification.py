"""Whether a request comes from who has the webhook's secret, just now: only then does anything else look at it.

The signature is computed and compared whatever else is wrong, so that the time of an answer tells nothing; what was
wrong with the time is told to nobody but who has signed it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.http import HttpRequest

from orchestrations.interfaces.webhooks.problems import Problem
from orchestrations.limits import (
    WEBHOOK_RECEIPT_SECONDS,
    WEBHOOK_TOLERANCE_SECONDS,
    WEBHOOK_UNDATED_RECEIPT_SECONDS,
)
from orchestrations.models import IncomingWebhook
from orchestrations.webhooks import keyring, signatures

ID_LENGTH = 200
GITHUB_SIGNATURE, GITHUB_ID = "X-Hub-Signature-256", "X-GitHub-Delivery"


@dataclass(frozen=True, slots=True)
class Verified:
    """An authentic request: its id as the sender gives it, and what it is known by when it comes again."""

    message_id: str
    known_by: tuple[str, ...]
    remember_seconds: int


@dataclass(frozen=True, slots=True)
class _Scheme:
    """Where a scheme has what; an empty name is a header that it does not have."""

    signature: str
    id: str = ""
    timestamp: str = ""
    signs_id: bool = False


def verify(webhook: IncomingWebhook, request: HttpRequest, body: bytes) -> Verified:
    """Raise a 401 unless the request is signed by one of the webhook's secrets, and lately. Raises SecretUnreadable."""
    scheme = _scheme_of(webhook)
    signature, message_id, timestamp = (
        request.headers.get(name, "") if name else "" for name in (scheme.signature, scheme.id, scheme.timestamp)
    )
    content = _content(webhook, message_id, timestamp, body)
    given = _given(webhook, signature)
    is_authentic = signatures.matches(keyring.valid_secrets(webhook), content, given)
    needed = {scheme.signature: signature, scheme.timestamp: timestamp}
    if scheme.signs_id:
        needed[scheme.id] = message_id
    for name, value in needed.items():
        if name and not value:
            raise _refused("missing_header", f"The request lacks the header {name}.")
    if not (is_authentic and _is_plain(message_id, scheme)):
        raise _refused("invalid_signature", "The signature does not match the request.")
    if scheme.timestamp:
        _require_recent(timestamp)
    digest = signatures.digest(keyring.valid_secrets(webhook)[0], content).hex()
    by_id = (f"id:{message_id}",) if message_id else ()
    # An id that nobody signs can be changed by who replays the request: then the signature tells.
    by_signature = () if scheme.signs_id else (f"signature:{digest}",)
    seconds = WEBHOOK_RECEIPT_SECONDS if scheme.timestamp else WEBHOOK_UNDATED_RECEIPT_SECONDS
    return Verified(message_id, (*by_signature, *by_id), seconds)


def _scheme_of(webhook: IncomingWebhook) -> _Scheme:
    if webhook.scheme == IncomingWebhook.Scheme.STANDARD:
        return _Scheme("webhook-signature", "webhook-id", "webhook-timestamp", signs_id=True)
    if webhook.scheme == IncomingWebhook.Scheme.GITHUB:
        return _Scheme(GITHUB_SIGNATURE, GITHUB_ID)
    signs_id = "{id}" in webhook.signed_content
    return _Scheme(webhook.signature_header, webhook.id_header, webhook.timestamp_header, signs_id=signs_id)


def _content(webhook: IncomingWebhook, message_id: str, timestamp: str, body: bytes) -> bytes:
    """What must have been signed."""
    if webhook.scheme == IncomingWebhook.Scheme.STANDARD:
        return signatures.standard_content(message_id, timestamp, body)
    if webhook.scheme == IncomingWebhook.Scheme.GITHUB:
        return body
    before, _, behind = webhook.signed_content.partition("{body}")
    filled = [part.replace("{id}", message_id).replace("{timestamp}", timestamp) for part in (before, behind)]
    return filled[0].encode() + body + filled[1].encode()


def _given(webhook: IncomingWebhook, signature: str) -> list[bytes]:
    if webhook.scheme == IncomingWebhook.Scheme.STANDARD:
        return signatures.standard_signatures(signature)
    if webhook.scheme == IncomingWebhook.Scheme.GITHUB:
        return [signatures.header_signature(signature, "sha256=", "hex")]
    return [signatures.header_signature(signature, webhook.signature_prefix, webhook.signature_encoding)]


def _is_plain(message_id: str, scheme: _Scheme) -> bool:
    """Short, fit to be kept and shown, and where it is signed without the full stop that separates what is."""
    is_short = len(message_id) <= ID_LENGTH and message_id.isascii() and message_id.isprintable()
    return is_short and not (scheme.signs_id and "." in message_id)


def _require_recent(timestamp: str) -> None:
    seconds = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 15 else None
    if seconds is None:
        raise _refused("invalid_timestamp", "The timestamp is no number of seconds since 1970.")
    if abs(time.time() - seconds) > WEBHOOK_TOLERANCE_SECONDS:
        minutes = WEBHOOK_TOLERANCE_SECONDS // 60
        raise _refused("invalid_timestamp", f"The timestamp is more than {minutes} minutes from now. Sign it anew.")


def _refused(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, {"WWW-Authenticate": "Signature"})
