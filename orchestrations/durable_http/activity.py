"""The built-in activity ``durable.http``: registered with every worker, and known to no author or client."""

from __future__ import annotations

from typing import Any

from orchestrations.authoring.activities import ActivityDefinition
from orchestrations.authoring.registry import registry
from orchestrations.authoring.signatures import Conversion, activity_signature
from orchestrations.core.http_messages import HTTP_ACTIVITY


async def send_request(message: dict[str, Any]) -> dict[str, Any]:
    """Send one recorded request and return what is recorded of its answer."""
    from orchestrations.durable_http.sending import send  # httpx takes its time; a site may never need it

    return await send(message)


def register() -> None:
    """Let workers find the activity. Registering twice has no effect."""
    signature = activity_signature(send_request, HTTP_ACTIVITY)
    registry.add_built_in(
        ActivityDefinition(
            name=HTTP_ACTIVITY,
            function=send_request,
            is_async=True,
            takes_context=signature.takes_context,
            takes_input=True,
            timeout_seconds=None,
            transactional=False,
            conversion=Conversion("activity", HTTP_ACTIVITY, send_request, signature.input),
        )
    )
