"""DRF's pages of tokens, taken out for everybody: their lists, titles, messages and logs tell whole tokens.

Programs have API keys, of which a digest is kept; a token is made with ``manage.py drf_create_token``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib import admin

SHOWN_CHARACTERS = 6


def hide_tokens() -> None:
    """Take DRF's tokens out of the admin."""
    if not apps.is_installed("rest_framework.authtoken"):
        return
    import_module("rest_framework.authtoken.admin")  # autodiscovery does not import it a second time
    for model in apps.get_app_config("authtoken").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
    # The page that asks before it deletes a user names everything that goes with them by its text, which is the token.
    apps.get_model("authtoken", "Token").__str__ = _masked  # type: ignore[method-assign]


def _masked(token: Any) -> str:
    return f"{token.key[:SHOWN_CHARACTERS]}…"


hide_tokens()
