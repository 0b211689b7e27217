"""Async HTTP API: a request that takes long is answered at once, with the address at which to ask how it goes.

The view starts an orchestration and answers 202; the caller polls the status address, which answers 202 while the work
goes on and 200 with the output once it is done. Put the view into your own ``urls.py``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from django.http import HttpRequest, HttpResponse

from orchestrations import OrchestrationClient, OrchestrationContext, activity, orchestrator
from orchestrations.http import create_check_status_response


@activity
def count_words(text: str) -> int:
    """Count the words of one page; a real activity would take minutes."""
    return len(text.split())


@orchestrator
def measure_book(context: OrchestrationContext, pages: list[str]) -> Generator[Any, Any, int]:
    """Count the words of all pages, one after the other."""
    words = 0
    for number, page in enumerate(pages, start=1):
        words += yield context.call_activity(count_words, page)
        context.set_custom_status({"pages": number, "of": len(pages)})
    return words


def measure(request: HttpRequest) -> HttpResponse:
    """Start measuring the text that was posted, and answer with the links to follow it by."""
    pages = request.body.decode().split("\f")
    instance_id = OrchestrationClient().start_new(measure_book, client_input=pages)
    return create_check_status_response(request, instance_id)
