"""Signing secrets at rest: encrypted with a key derived from SECRET_KEY, because HMAC needs the secret itself.

SECRET_KEY_FALLBACKS are tried for reading, so that a change of SECRET_KEY by Django's own procedure loses no secret.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from orchestrations.errors import SecretUnreadable

PURPOSE = b"orchestrations.webhooks"


def seal(secret: str) -> str:
    """The secret as text that nobody reads without SECRET_KEY."""
    return _cipher().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret again. Raises SecretUnreadable where it was sealed with another key, or was altered."""
    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except (InvalidToken, ValueError) as error:
        raise SecretUnreadable from error


def _cipher() -> MultiFernet:
    return _cipher_of(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=4)
def _cipher_of(key: str | bytes, fallbacks: tuple[str | bytes, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(one)) for one in (key, *fallbacks)])


def _derived(key: str | bytes) -> bytes:
    material = key.encode() if isinstance(key, str) else key
    return base64.urlsafe_b64encode(HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(material))
