"""The audit trail of a task hub: who did what, when, why and how it reached us; to look at and to take away."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from orchestrations.access.audit import DEEDS
from orchestrations.access.permissions import Action
from orchestrations.bulk import jobs
from orchestrations.errors import InvalidCursor
from orchestrations.interfaces.dashboard import row_files
from orchestrations.interfaces.dashboard.access import is_partial, needs
from orchestrations.interfaces.dashboard.audit_rows import WRITERS
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.interfaces.dashboard.moment_field import MomentField
from orchestrations.interfaces.dashboard.shown_rows import keys_in
from orchestrations.interfaces.dashboard.versions import newest_version
from orchestrations.limits import AUDIT_EXPORTED, INSTANCE_ID_LENGTH
from orchestrations.models import AuditEntry
from orchestrations.reading.audit_trail import AuditFilter, all_entries, count_newer, list_entries, newest_act

A_MOMENT = timedelta(seconds=1)  # before a job: SQLite compares instants as texts, and cuts some to milliseconds
DID = [(deed, words.capitalize()) for deed, words in DEEDS.items()]


class AuditFilterForm(forms.Form):
    """The trail's filter, all of it in the URL. Instants without a zone are in the reader's, as they are shown."""

    who = forms.CharField(max_length=150, required=False)
    action = forms.ChoiceField(label="Did", choices=[("", "Anything"), *DID], required=False)
    via = forms.ChoiceField(label="Through", choices=[("", "Anything"), *AuditEntry.Via.choices], required=False)
    instance = forms.CharField(
        label="Instance id begins with", max_length=INSTANCE_ID_LENGTH, required=False, strip=False
    )
    since = MomentField(label="From", required=False)
    until = MomentField(label="To", required=False)
    job = forms.IntegerField(label="Bulk job", required=False, min_value=1, max_value=2**63 - 1)

    def where(self, hub: str) -> AuditFilter:
        """The filter, of a valid form. The acts of a bulk job are looked for from when it was made."""
        given = self.cleaned_data
        job = jobs.find(hub, given["job"]) if given["job"] else None
        begin = max(filter(None, (given["since"], job and job.created_at - A_MOMENT)), default=None)
        return AuditFilter(
            job=given["job"],
            actor=given["who"],
            action=given["action"],
            via=given["via"],
            instance_prefix=given["instance"],
            at_from=begin,
            at_to=given["until"],
        )


@require_GET
@needs(Action.VIEW_AUDIT)
def page(request: HttpRequest, *, hub: str) -> HttpResponse:
    """A page of acts, the latest first, by the filter of the query string."""
    form = AuditFilterForm(request.GET)
    context: dict[str, object] = {"hub": hub, "section": "audit", "form": form, "exported": AUDIT_EXPORTED}
    newest = newest_act(hub)
    if form.is_valid():
        try:
            found = list_entries(hub, form.where(hub), cursor=request.GET.get("cursor"))
        except InvalidCursor as invalid:
            raise Http404(str(invalid)) from invalid
        context |= {
            "entries": found.items,
            "newer": found.previous_cursor and _url(request, hub, cursor=found.previous_cursor),
            "older": found.next_cursor and _url(request, hub, cursor=found.next_cursor),
            "is_filtered": bool(_filters(request)),
            **(_news(request, hub, newest, newest) if "cursor" not in request.GET else {}),
            "exports": [(kind.upper(), _url(request, hub, kind=kind)) for kind in WRITERS],
        }
    template = "dashboard/audit/_results.html" if is_partial(request) else "dashboard/audit/page.html"
    response = render(request, template, context, status=200 if form.is_valid() else 422)
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


@require_GET
@needs(Action.VIEW_AUDIT)
def newer(request: HttpRequest, *, hub: str) -> HttpResponse:
    """How many acts of the filter came after the one that a first page knew as the newest."""
    form, known = AuditFilterForm(request.GET), keys_in(request.GET.get("newest", ""))
    if not form.is_valid() or not known:
        raise Http404("That is no page of the audit trail.")
    newest = newest_act(hub)
    count = count_newer(hub, form.where(hub), known[0])
    context = {"hub": hub, "newer_count": count, **_news(request, hub, known[0], newest)}
    return render(request, "dashboard/parts/newer.html", context)


@require_GET
@needs(Action.VIEW_AUDIT)
def tick(request: HttpRequest, *, hub: str) -> HttpResponseBase:
    """Whether anything was done in the hub."""
    return answer(request, {"newer": topics.acts(hub)})


@require_GET
@needs(Action.VIEW_AUDIT)
def export(request: HttpRequest, *, hub: str, kind: str) -> HttpResponseBase:
    """All acts of the filter as a file, sent while it is read, AUDIT_EXPORTED at most."""
    form = AuditFilterForm(request.GET)
    if kind not in WRITERS or not form.is_valid():
        raise Http404("That is no export of the audit trail.")
    entries = all_entries(hub, form.where(hub))
    return row_files.send(request, f"audit-{hub}", kind, entries, AUDIT_EXPORTED, WRITERS[kind])


def _news(request: HttpRequest, hub: str, known: int, newest: int) -> dict[str, object]:
    """What keeps up to date how many acts came since ``known`` was the newest."""
    query = urlencode({**_filters(request), "newest": known})
    return {
        "newer_of": "act",
        "newer_url": f"{reverse('dashboard:audit_newer', args=[hub])}?{query}",
        "newer_tick_url": reverse("dashboard:audit_tick", args=[hub]),
        "newest_version": newest_version(newest),
        "first_url": _url(request, hub),
    }


def _filters(request: HttpRequest) -> dict[str, str]:
    return {key: request.GET[key] for key in AuditFilterForm.base_fields if request.GET.get(key)}


def _url(request: HttpRequest, hub: str, *, kind: str = "", cursor: str = "") -> str:
    """The page, or an export, with the filter of this request."""
    query = {**_filters(request), **({"cursor": cursor} if cursor else {})}
    address = reverse("dashboard:audit_export", args=[hub, kind]) if kind else reverse("dashboard:audit", args=[hub])
    return f"{address}?{urlencode(query)}" if query else address
