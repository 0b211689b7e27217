"""What the settings need before Django is there: values read strictly, secrets kept, unsafe combinations refused.

It reads the environment and one folder; it must not import Django's settings.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SECRET_KEY_CHARACTERS = 50  # what Django's own deployment check asks for
PLACEHOLDERS = ("insecure", "django-insecure", "changeme", "change-me", "secret")


def whole_number(env: environ.Env, name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Returns the number that the environment gives under ``name``.

    Raises ImproperlyConfigured, naming the variable and its range, for anything else than a number in that range.
    """
    text = env.str(name, default=str(default)).strip()
    if text.isascii() and text.isdigit() and minimum <= int(text) <= maximum:
        return int(text)
    raise ImproperlyConfigured(f"{name} is {text!r}: give a whole number from {minimum} to {maximum}.")


def one_of(env: environ.Env, name: str, choices: Sequence[str]) -> str:
    """Returns the choice that the environment gives under ``name``, the first one by default.

    Raises ImproperlyConfigured for anything that is no choice.
    """
    text: str = env.str(name, default=choices[0])
    if text in choices:
        return text
    raise ImproperlyConfigured(f"{name} is {text!r}: give one of {', '.join(choices)}.")


def switch(env: environ.Env, name: str, *, default: bool) -> bool:
    """Returns whether the environment switches ``name`` on.

    Raises ImproperlyConfigured for a value that says neither: a misspelt SECURE_SSL must not read as off.
    """
    text = env.str(name, default="").strip().lower()
    if not text:
        return default
    if text in env.BOOLEAN_TRUE_STRINGS:
        return True
    if text in ("false", "off", "no", "n", "0"):
        return False
    raise ImproperlyConfigured(f"{name} is {text!r}: give true or false.")


def names(env: environ.Env, name: str) -> list[str]:
    """Returns the names that the environment lists under ``name``, separated by commas; none when it lists none."""
    return [part.strip() for part in env.str(name, default="").split(",") if part.strip()]


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Returns the secret that ``path`` keeps, made on first use and readable by the file's owner only.

    Of processes that ask at once, all get the same secret.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written aside and linked into place: no one ever reads half a secret, and the first link wins.
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-") as draft:
            draft.write(make())
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    path.chmod(0o600)
    return path.read_text().strip()


def is_loopback(host: str) -> bool:
    """Whether ``host``, an allowed host or an address to listen on, can only mean this machine."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def refuse_unsafe_site(*, secret_key: str, debug: bool, allowed_hosts: Sequence[str]) -> None:
    """Raises ImproperlyConfigured where the site would be reachable from elsewhere without what that takes.

    A site is local while every allowed host is this machine; only then may the key be absent or DEBUG be on.
    """
    weak = len(secret_key) < SECRET_KEY_CHARACTERS or secret_key.lower().startswith(PLACEHOLDERS)
    if secret_key and weak and not debug:
        raise ImproperlyConfigured(
            f"SECRET_KEY can be guessed: give at least {SECRET_KEY_CHARACTERS} random characters, "
            "or leave it out on a machine of your own."
        )
    if "*" in allowed_hosts:
        raise ImproperlyConfigured("ALLOWED_HOSTS holds '*': name the hosts under which the site is reached.")
    elsewhere = [host for host in allowed_hosts if not is_loopback(host)]
    if elsewhere and debug:
        raise ImproperlyConfigured(
            f"DEBUG shows the site's inside to every visitor of {elsewhere[0]}: switch it off, "
            "or leave ALLOWED_HOSTS out."
        )
    if elsewhere and not secret_key:
        raise ImproperlyConfigured(
            f"ALLOWED_HOSTS opens the site to {elsewhere[0]}, so it needs a SECRET_KEY: "
            f"set one of at least {SECRET_KEY_CHARACTERS} random characters, the same on every host."
        )
