"""Who gets in: sign-in, permission and task hub, checked before a view begins. Which right an act needs is in
``orchestrations.access.permissions``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.cache import never_cache

from orchestrations.access.permissions import Action, Function, can, can_somewhere
from orchestrations.client import OrchestrationClient
from orchestrations.conf import get_config
from orchestrations.errors import InstanceNotFound
from orchestrations.interfaces.dashboard.reader import ReadersZone
from orchestrations.interfaces.dashboard.signing_in import ask_to_sign_in, to_sign_in
from orchestrations.models import AuditEntry, Instance
from orchestrations.reading import queries

if TYPE_CHECKING:
    from orchestrations.access.permissions import Person

Arguments = ParamSpec("Arguments")
NAMED = frozenset({"instance_id", "flow"})
"""Parts of an address that name what a right may be confined to: an instance, or an orchestrator."""

View = Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase]


def signed_in(view: View[Arguments]) -> View[Arguments]:
    """Let signed-in people through. Others are sent to the sign-in page; a part of a page gets 401 instead, and the
    page decides what becomes of what was typed there. A form is kept while whoever sent it signs in, and then taken.

    No cache keeps what they see: it is theirs alone, and it changes. Times are in their zone.
    """

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> HttpResponseBase:
        refused = None if request.user.is_authenticated else _refuse(request)
        if refused is not None:
            return refused
        with timezone.override(ReadersZone(request)):
            return view(request, *args, **kwargs)

    return guarded


def _refuse(request: HttpRequest) -> HttpResponse | None:
    """The answer to somebody who is not signed in; None for whoever signs in with the very form that they send."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401)
    if request.method == "POST":
        return ask_to_sign_in(request)
    return to_sign_in(request)


def needs(action: Action, *, narrowed: bool = False) -> Callable[[View[Arguments]], View[Arguments]]:
    """Let through who may do that to the instance or orchestrator of the address, else to everything in its task hub.

    ``narrowed`` marks a view that shows only what the person may see (``permissions.names_open_to``), so that whoever
    may see anything gets in. The view's second argument is a task hub, which must be known. Others get a 403 page that
    names the missing permission.
    """

    def decorate(view: View[Arguments]) -> View[Arguments]:
        @signed_in
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> HttpResponseBase:
            _let_through(request, action, narrowed, {name: str(value) for name, value in kwargs.items()})
            check_hub(str(kwargs["hub"]))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def _let_through(request: HttpRequest, action: Action, narrowed: bool, address: dict[str, str]) -> None:
    """Who may do it to everything costs no look at the instance."""
    if can(person(request), action):
        return
    is_narrowed = narrowed or not NAMED.isdisjoint(address)
    if not (is_narrowed and can_somewhere(person(request), action, address["hub"])):
        require(request, action)
    if "instance_id" in address:
        require(request, action, find_instance(address["hub"], address["instance_id"]))
    if "flow" in address:
        require(request, action, Function(address["hub"], address["flow"]))


def require(request: HttpRequest, action: Action, target: Instance | Function | None = None) -> None:
    """Raise PermissionDenied, naming the permission, unless the person holds it."""
    if not can(person(request), action, target):
        raise PermissionDenied(f"That needs the permission {action.permission}, which your account does not have.")


def person(request: HttpRequest) -> Person:
    """Who asks, in the type that the permissions speak of."""
    return request.user


def has_hub(hub: str) -> bool:
    """Whether the task hub is the site's own or has any instance."""
    config = get_config()
    return hub == config.task_hub or Instance.objects.using(config.database).filter(hub=hub).exists()


def check_hub(hub: str) -> None:
    """Raise Http404 for a task hub that there is not."""
    if not has_hub(hub):
        raise Http404(f"There is no task hub {hub}.")


def find_instance(hub: str, instance_id: str, *, payloads: bool = False) -> Instance:
    """The instance; raises Http404 where there is none."""
    try:
        return queries.get_instance(hub, instance_id, payloads=payloads)
    except InstanceNotFound as missing:
        raise Http404(str(missing)) from missing


def client_of(request: HttpRequest, hub: str) -> OrchestrationClient:
    """A client that acts for the signed-in person, so that what it does is in the audit trail under their name."""
    return OrchestrationClient(
        hub, via=AuditEntry.Via.DASHBOARD, actor=request.user, address=request.META.get("REMOTE_ADDR")
    )


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page, as opposed to a whole one (a first load, Back, no JavaScript)."""
    return bool(request.headers.get("HX-Request")) and not request.headers.get("HX-History-Restore-Request")


def no_content() -> HttpResponse:
    """The answer that says: nothing has changed."""
    return HttpResponse(status=204)
