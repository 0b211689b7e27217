"""The route that gives the schema of this API."""

from __future__ import annotations

from django.http import HttpResponse

from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.links import base_url
from orchestrations.interfaces.management_api.rendering import json_response


def schema(call: Call) -> HttpResponse:
    """The schema of this API as OpenAPI 3.1, for whoever has a key."""
    from orchestrations.interfaces.management_api.openapi import openapi  # made of the table that has this in it

    return json_response(openapi(base_url(call.request), call.client.hub))
