"""What comes from outside in a test: people's answers to questions, and other sites' answers to HTTP calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from django.contrib.auth import get_user_model

from orchestrations.client import OrchestrationClient
from orchestrations.core.http_messages import DurableHttpResponse, HttpRequest
from orchestrations.models import HumanTask
from orchestrations.store import get_store

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def answer_task(
    instance_id: str, user: User | str, answer: object, comment: str = "", *, event: str | None = None
) -> HumanTask:
    """Answer the question that the instance puts to people, in the name of a user (or of the user with that name).

    The same checks as on the dashboard: who is asked, the form, one vote each. ``event`` chooses among several open
    questions. Raises what ``OrchestrationClient.answer_task`` does, and AssertionError where there is not one question.
    """
    store = get_store()
    person = user if not isinstance(user, str) else get_user_model()._default_manager.get_by_natural_key(user)
    tasks = HumanTask.objects.using(store.using).filter(
        hub=store.hub, instance__instance_id=instance_id, state__in=HumanTask.LIVE
    )
    if event is not None:
        tasks = tasks.filter(name__iexact=event)
    found = list(tasks.order_by("pk")[:2])
    if len(found) != 1:
        open_tasks = ", ".join(repr(task.name) for task in found) or "none"
        raise AssertionError(f"{instance_id!r} is to have one open question to answer, and has {open_tasks}.")
    return OrchestrationClient(actor=person).answer_task(found[0].pk, answer, comment)


@contextmanager
def answering_http(answer: Callable[[HttpRequest], DurableHttpResponse]) -> Iterator[list[HttpRequest]]:
    """Answer the requests of ``call_http`` by a function while the block runs; nothing leaves the process.

    The list that the block gets holds the requests so far, redirects and polls included. An error that the function
    raises is the request's failure. Addresses are not checked, and secrets and tokens not fetched.
    """
    import httpx

    from orchestrations.durable_http import sending

    requests: list[HttpRequest] = []

    async def exchange(request: HttpRequest) -> tuple[DurableHttpResponse, httpx.URL]:
        requests.append(request)
        return answer(request), httpx.URL(request.uri)

    with patch.object(sending, "exchange", exchange):
        yield requests
