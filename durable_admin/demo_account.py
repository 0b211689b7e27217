"""The account with which a first visitor of a local site signs in.

It exists on a site for this machine only, and only where nobody has made an account yet. Its password is random and
kept beside the database and the secret key, readable by the same user: it opens nothing that this user could not open
anyway, and nothing at all to anyone else.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from django.contrib.auth import get_user_model

from durable_admin.safeguards import kept_secret

USERNAME = "demo"
PASSWORD_WORDS = 3  # of four characters each: 58 bits, and easy to type


def make_password() -> str:
    """Returns a random password without characters that look alike."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(PASSWORD_WORDS))


def ensure_demo_account(password_file: Path) -> str | None:
    """Returns the demo account's password, making the account where there is no user at all.

    Returns None where the accounts are somebody's own, or the demo account's password has been changed.
    """
    users = get_user_model()._default_manager
    if not users.exists():
        users.create_superuser(username=USERNAME, email="", password=kept_secret(password_file, make_password))
    demo = users.filter(username=USERNAME).first()
    if demo is None or not password_file.exists():
        return None
    password = kept_secret(password_file, make_password)
    return password if demo.check_password(password) else None
