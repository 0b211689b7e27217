"""Dead letters: work that was given up because each worker that took it up died of it; to look at and to put back."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from orchestrations.access.permissions import Action, can
from orchestrations.client import dead_letters
from orchestrations.errors import DurableError, InvalidCursor
from orchestrations.interfaces.dashboard.access import client_of, needs, person
from orchestrations.interfaces.dashboard.act_forms import RequiredReasonForm
from orchestrations.interfaces.dashboard.links import target_url
from orchestrations.reading import given_up

TABS = {"": "Waiting", "put-back": "Put back"}


@require_GET
@needs(Action.VIEW)
def index(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Those that wait, or those that were put back, the newest first."""
    tab = request.GET.get("tab", "")
    if tab not in TABS:
        raise Http404("There are no such dead letters.")
    try:
        page = given_up.page(hub, put_back=bool(tab), cursor=request.GET.get("cursor"))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    context = {
        **_where(hub),
        "tab": tab,
        "tabs": [{"label": label, "url": _url(hub, one), "is_current": one == tab} for one, label in TABS.items()],
        "rows": [(dead, target_url(hub, dead.instance_id)) for dead in page.items],
        "newer": page.previous_cursor and _url(hub, tab, page.previous_cursor),
        "older": page.next_cursor and _url(hub, tab, page.next_cursor),
    }
    return render(request, "dashboard/dead_letters/index.html", context)


@require_http_methods(["GET", "POST"])
@needs(Action.VIEW)
def one(request: HttpRequest, *, hub: str, letter_id: int) -> HttpResponse:
    """What was given up, and why; with a reason it is put back."""
    dead = given_up.find(hub, letter_id)
    if dead is None:
        raise Http404(f"There is no dead letter {letter_id}, or it has been forgotten.")
    needed = dead_letters.action_of(dead)
    may_put_back = can(person(request), needed)
    if request.method == "POST" and not may_put_back:
        raise PermissionDenied(f"That needs the permission {needed.permission}.")
    form = RequiredReasonForm(request.POST if request.method == "POST" else None)
    context = {
        **_where(hub),
        "dead": dead,
        "target_url": target_url(hub, dead.instance_id),
        "form": form,
        "needed": needed.permission,
        "may_put_back": may_put_back,
    }
    if request.method != "POST" or not form.is_valid():
        return render(request, "dashboard/dead_letters/one.html", context, status=422 if form.errors else 200)
    try:
        dead_letters.put_back(client_of(request, hub), dead, form.cleaned_data["reason"])
    except DurableError as refused:
        dead.refresh_from_db()
        return render(request, "dashboard/dead_letters/one.html", {**context, "problem": str(refused)}, status=409)
    messages.success(request, "It is put back: a worker takes it up again.")
    return redirect("dashboard:dead_letter", hub=hub, letter_id=letter_id)


def _url(hub: str, tab: str, cursor: str = "") -> str:
    query = urlencode({name: value for name, value in (("tab", tab), ("cursor", cursor)) if value})
    address = reverse("dashboard:dead_letters", args=[hub])
    return f"{address}?{query}" if query else address


def _where(hub: str) -> dict[str, object]:
    return {"hub": hub, "section": "dead_letters"}
