"""The task hubs that a person may see: a page with what goes on in each, and the menu of the top bar."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from orchestrations.access.permissions import Action, can, can_somewhere
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard.access import is_partial, person, signed_in
from orchestrations.interfaces.dashboard.bounded_reading import Reading, read
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.reading import hubs as task_hubs


@require_GET
@signed_in
def page(request: HttpRequest) -> HttpResponse:
    """Each hub with its live instances, failures, questions and workers."""
    names = _open_to(request)
    part = is_partial(request)
    reading = _states(names, fresh=not part)
    context = {"hub": get_config().task_hub, "section": "hubs", "names": names, "reading": reading}
    return render(request, "dashboard/hubs/_states.html" if part else "dashboard/hubs/page.html", context)


@require_GET
@signed_in
def tick(request: HttpRequest) -> HttpResponseBase:
    """Whether anything has changed in the hubs that the page shows."""
    return answer(request, {"hubs": topics.Topic("hubs", tuple(_open_to(request)))})


@require_GET
@signed_in
def menu(request: HttpRequest) -> HttpResponse:
    """The hubs as links, fetched when the menu is opened, so that no page waits for it."""
    return render(request, "dashboard/hubs/_menu.html", {"names": _open_to(request)})


def _states(names: Collection[str], *, fresh: bool = False) -> Reading:
    return read(("hubs", *names), partial(task_hubs.states, names, timezone.now()), fresh=fresh)


def _versions(shown: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    return {names: _states(names).version for names in shown}


topics.READERS["hubs"] = _versions


def _open_to(request: HttpRequest) -> list[str]:
    names = task_hubs.hub_names()
    if not can(person(request), Action.VIEW):
        names = [name for name in names if can_somewhere(person(request), Action.VIEW, name)]
    if not names:
        raise PermissionDenied(f"That needs the permission {Action.VIEW.permission}, which your account does not have.")
    return names
