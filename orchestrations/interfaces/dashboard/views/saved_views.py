"""Saved views of the instances list: to look at, and to make, change and delete one's own."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from orchestrations.access.permissions import Action, can, names_open_to
from orchestrations.interfaces.dashboard.access import needs
from orchestrations.interfaces.dashboard.links import view_url
from orchestrations.interfaces.dashboard.reader import PINNED, forget_reader, reader_of, visible_views
from orchestrations.interfaces.dashboard.view_counts import count_views
from orchestrations.interfaces.dashboard.view_forms import SavedViewForm
from orchestrations.models import SavedView


@require_GET
@needs(Action.VIEW, narrowed=True)
def page(request: HttpRequest, *, hub: str) -> HttpResponse:
    """All views that this person sees, with how many instances each finds now."""
    found = SavedView.objects.filter(visible_views(request.user), hub=hub).select_related("owner", "group").distinct()
    views = [view for view in reader_of(request).views if view.hub == hub]
    counts = count_views(hub, views, names_open_to(request.user, Action.VIEW, hub))
    rows = [
        {"view": view, "count": counts.get(view.pk), "mine": _may_change(request, view), "url": _list_url(view)}
        for view in found.order_by("name", "pk")
    ]
    return render(request, "dashboard/views/page.html", {"hub": hub, "section": "views", "rows": rows})


@require_GET
@needs(Action.VIEW, narrowed=True)
def navigation(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The pinned views of the navigation, with their counts."""
    views = [view for view in reader_of(request).views if view.hub == hub and view.is_pinned][:PINNED]
    counts = count_views(hub, views, names_open_to(request.user, Action.VIEW, hub))
    pinned = [(view, counts.get(view.pk)) for view in views]
    return render(request, "dashboard/views/_pinned.html", {"hub": hub, "pinned": pinned, "is_counted": True})


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Action.VIEW, narrowed=True)
def new(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Keep the query of the address under a name."""
    view = SavedView(hub=hub, owner_id=request.user.pk or 0)
    if request.method != "POST":
        view.query, view.sort = request.GET.get("q", ""), request.GET.get("sort", "")
    return _edit(request, view, "Save this view")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Action.VIEW, narrowed=True)
def change(request: HttpRequest, *, hub: str, pk: int) -> HttpResponse:
    """Give it another name, query or audience."""
    return _edit(request, _own(request, hub, pk), "Change the view")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Action.VIEW, narrowed=True)
def delete(request: HttpRequest, *, hub: str, pk: int) -> HttpResponse:
    """Ask, then delete it for everybody who sees it. No instance is touched."""
    view = _own(request, hub, pk)
    if request.method == "POST":
        view.delete()
        forget_reader(request)
        messages.success(request, f"The view {view.name} is deleted.")
        return redirect("dashboard:views", hub=hub)
    return render(request, "dashboard/views/delete.html", {"hub": hub, "section": "views", "view": view})


def _edit(request: HttpRequest, view: SavedView, title: str) -> HttpResponse:
    zone = reader_of(request).zone
    form = SavedViewForm(request.POST or None, instance=view, user=request.user, zone=zone)
    if request.method == "POST" and form.is_valid():
        kept = form.save()
        forget_reader(request)
        messages.success(request, f"The view {kept.name} is saved.")
        return redirect(_list_url(kept))
    context = {"hub": view.hub, "section": "views", "form": form, "title": title, "view": view}
    return render(request, "dashboard/views/edit.html", context, status=422 if form.errors else 200)


def _own(request: HttpRequest, hub: str, pk: int) -> SavedView:
    view = SavedView.objects.filter(visible_views(request.user), hub=hub, pk=pk).distinct().first()
    if view is None or not _may_change(request, view):
        raise Http404("You have no view of that number.")
    return view


def _may_change(request: HttpRequest, view: SavedView) -> bool:
    """The owner may, and of a view for everybody whoever may publish one."""
    return view.owner_id == request.user.pk or (view.for_everybody and can(request.user, Action.PUBLISH_VIEW))


def _list_url(view: SavedView) -> str:
    return view_url(view.hub, view.query, view.sort)
