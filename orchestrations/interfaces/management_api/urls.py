"""One pattern: the API's own route table matches paths in any letter case and answers 404 in JSON.

It is served twice: for everybody, and as the RPC base of Microsoft's client (see ``rpc_urls``).
"""

from __future__ import annotations

import re

from django.urls import re_path

from orchestrations.interfaces.management_api.views import dispatch


def in_any_letter_case(path: str) -> str:
    """A pattern for the path. It spells the cases out, since Django can't reverse patterns with inline flags."""
    letters = (f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else re.escape(letter) for letter in path)
    return "^" + "".join(letters)


BASE = in_any_letter_case("runtime/webhooks/durabletask/")
"""Where a site includes this module: ``re_path(BASE, include("orchestrations.interfaces.management_api.urls"))``."""

app_name = "management_api"
urlpatterns = [re_path(r"^(?P<path>[\s\S]*)\Z", dispatch, name="route")]
