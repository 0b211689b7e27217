"""The approval inbox, kept up to date in place, and one answer for many questions. Being asked is the only right."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from orchestrations.conf import get_config
from orchestrations.errors import InvalidCursor
from orchestrations.interfaces.dashboard.access import is_partial, person, signed_in
from orchestrations.interfaces.dashboard.human import bulk, inbox
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer as answer_tick
from orchestrations.interfaces.dashboard.shown_rows import keys_in
from orchestrations.models import HumanTask
from orchestrations.reading import queries
from orchestrations.reading.paging import CappedCount


@require_GET
@signed_in
def approvals(request: HttpRequest) -> HttpResponse:
    """The questions of a tab, what is due first on top. Without one, the first tab that has any."""
    hub, who = get_config().task_hub, person(request)
    found = inbox.overview(who, hub)
    tab = request.GET.get("tab") or next((tab for tab in ("mine", "groups") if found.counts[tab].value), "mine")
    if tab not in inbox.TABS:
        raise Http404("The inbox has no such tab.")
    cursor = request.GET.get("cursor")
    try:
        page = inbox.page_of(who, hub, tab, cursor)
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    context = {
        **_rows(hub, tab, page.items, found.version, found.newest if cursor is None else None),
        **_tabs(tab, found.counts),
        "newer": page.previous_cursor and _url(tab, cursor=page.previous_cursor),
        "older": page.next_cursor and _url(tab, cursor=page.next_cursor),
        "is_first_page": cursor is None,
        "here_url": request.get_full_path(),
    }
    template = "dashboard/approvals/_inbox.html" if is_partial(request) else "dashboard/approvals/page.html"
    response = render(request, template, context)
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


@require_GET
@signed_in
def rows(request: HttpRequest) -> HttpResponse:
    """The rows that a page shows, as they stand now, and how many questions were asked since."""
    hub, who = get_config().task_hub, person(request)
    tab = request.GET.get("tab", "mine")
    if tab not in inbox.TABS:
        raise Http404("The inbox has no such tab.")
    shown = keys_in(request.GET.get("ids", ""))
    newest = next(iter(keys_in(request.GET.get("newest", ""))), None)
    found = inbox.overview(who, hub, tab, newest)
    context = {
        **_rows(hub, tab, inbox.rows_again(who, hub, tab, shown), found.version, newest),
        **_tabs(tab, found.counts),
        "newer_count": found.newer,
        "is_refresh": True,
    }
    return render(request, "dashboard/approvals/_refreshed.html", context)


@require_GET
@signed_in
def tick(request: HttpRequest) -> HttpResponseBase:
    """Whether a question was asked, answered or closed anywhere in the hub."""
    return answer_tick(request, {"approvals": topics.approvals(get_config().task_hub)})


@require_GET
@signed_in
def badge(request: HttpRequest) -> HttpResponse:
    """How many questions wait for this person."""
    counts = inbox.overview(person(request), get_config().task_hub).counts
    total = counts["mine"].value + counts["groups"].value
    is_capped = counts["mine"].is_capped or counts["groups"].is_capped or total > inbox.COUNTED
    return render(
        request, "dashboard/approvals/_badge.html", {"count": CappedCount(min(total, inbox.COUNTED), is_capped)}
    )


@require_POST
@signed_in
def together(request: HttpRequest) -> HttpResponse:
    """One answer for many questions of one form: first what they are, then the sending, then what became of each."""
    chosen = bulk.choose(request, keys_in(",".join(request.POST.getlist("task"))))
    context = {"hub": get_config().task_hub, "section": "approvals", "chosen": chosen}
    if chosen.problem:
        return render(request, "dashboard/approvals/together.html", context, status=422)
    if "send" not in request.POST:
        return render(request, "dashboard/approvals/together.html", {**context, "form": chosen.form()})
    form = chosen.form(request)
    outcomes = bulk.answer(request, chosen, form)
    if outcomes is None:
        return render(request, "dashboard/approvals/together.html", {**context, "form": form}, status=422)
    return render(request, "dashboard/approvals/together_sent.html", {**context, "outcomes": outcomes})


@require_GET
@signed_in
def of_wait(request: HttpRequest, *, hub: str, instance_id: str, wait: int) -> HttpResponse:
    """The question that an open wait puts, where somebody has its key only."""
    found = queries.get_wait(hub, wait)
    if found is None or found.instance.instance_id != instance_id:
        raise Http404("That question is closed, or there never was one.")
    asked = HumanTask.objects.using(get_config().database).filter(
        instance_id=found.instance_id, execution=found.execution, wait_id=found.wait_id
    )
    pk = asked.values_list("pk", flat=True).first()
    if pk is None:
        raise Http404("That wait asks nobody.")
    return redirect("dashboard:task", pk=pk)


def _rows(hub: str, tab: str, items: list[HumanTask], version: str, newest: int | None) -> dict[str, object]:
    """What the table's body needs to be drawn and to keep itself up to date.

    ``version`` is from before the rows were read. A first page, with the ``newest`` question, counts what came since.
    """
    now = timezone.now()
    query = {"tab": tab, "ids": ",".join(str(task.pk) for task in items)} | (
        {} if newest is None else {"newest": newest}
    )
    found = [inbox.shown(task, now) for task in items]
    return {
        "hub": hub,
        "section": "approvals",
        "tab": tab,
        "rows": found,
        "has_bulk": tab in ("mine", "groups") and any(row.is_bulk for row in found),
        "keeps_closed": tab in ("asked", "done"),
        "rows_url": f"{reverse('dashboard:approvals_rows')}?{urlencode(query)}",
        "first_url": _url(tab),
        "version": version,
        "now": now,
    }


def _tabs(tab: str, counts: dict[str, CappedCount]) -> dict[str, object]:
    return {
        "tabs": [
            {"slug": slug, "label": label, "url": _url(slug), "count": counts.get(slug), "current": slug == tab}
            for slug, label in inbox.TABS.items()
        ]
    }


def _url(tab: str, **more: str) -> str:
    return f"{reverse('dashboard:approvals')}?{urlencode({'tab': tab, **more})}"
