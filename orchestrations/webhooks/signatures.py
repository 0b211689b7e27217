"""Signatures of webhooks: those of the Standard Webhooks specification, and those that others put into one header.

Comparisons take the same time whatever differs. Nothing here says more about a signature than that it does not match.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

MARK = "whsec_"
SECRET_BYTES = 32
SHORTEST_BYTES, LONGEST_BYTES = 24, 64  # of a secret, by the specification
VERSION = "v1"


def new_secret() -> str:
    """A secret as the specification writes it: ``whsec_`` and 256 random bits in base64."""
    return MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign: what stands behind ``whsec_`` in base64; any other text as it is, in UTF-8.

    Raises ValueError where that is no base64, or is shorter or longer than the specification allows.
    """
    if not secret.startswith(MARK):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(MARK), validate=True)
    except binascii.Error as error:
        raise ValueError("Behind whsec_ there is no base64. Copy the secret whole.") from error
    if not SHORTEST_BYTES <= len(key) <= LONGEST_BYTES:
        raise ValueError(f"The secret has {len(key)} bytes; {SHORTEST_BYTES} to {LONGEST_BYTES} are allowed.")
    return key


def digest(secret: str, content: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key_of(secret), content, hashlib.sha256)


def standard_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    """What the specification signs."""
    return f"{message_id}.{timestamp}.".encode() + body


def sign(valid_secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``, with a signature for each secret; during a rotation there are two."""
    content = standard_content(message_id, str(timestamp), body)
    return " ".join(f"{VERSION},{base64.b64encode(digest(secret, content)).decode()}" for secret in valid_secrets)


def standard_signatures(header: str) -> list[bytes]:
    """The signatures of version 1 in a header ``webhook-signature``; others are for other keys."""
    given = (entry.partition(",") for entry in header.split(" "))
    return [_decoded(text, "base64") for version, _, text in given if version == VERSION]


def header_signature(header: str, prefix: str, encoding: str) -> bytes:
    """The one signature of a header that has a prefix before it; nothing where it is not as it must be."""
    return _decoded(header.removeprefix(prefix), encoding) if header.startswith(prefix) else b""


def matches(valid_secrets: Iterable[str], content: bytes, given: Iterable[bytes]) -> bool:
    """Whether one of the signatures is that of the content by one of the secrets. All are looked at, always."""
    listed = list(given)
    found = False
    for secret in valid_secrets:
        expected = digest(secret, content)
        for signature in listed:
            found |= hmac.compare_digest(expected, signature)
    return found


def _decoded(text: str, encoding: str) -> bytes:
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
