"""Acts on many instances: previewed and confirmed, followed while workers carry them out, and stopped."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from orchestrations.access.permissions import Action, can_somewhere
from orchestrations.bulk import jobs
from orchestrations.bulk.acts import ACTS
from orchestrations.bulk.selections import Selection
from orchestrations.conf import get_config
from orchestrations.errors import InvalidCursor, PayloadRejected, PermissionRefused
from orchestrations.interfaces.dashboard.access import needs, person, require
from orchestrations.interfaces.dashboard.act_forms import RequiredReasonForm
from orchestrations.interfaces.dashboard.bulk_forms import BulkForm
from orchestrations.interfaces.dashboard.consequences import MEASURED_INSTANCES, purging_many
from orchestrations.interfaces.dashboard.live import answering, topics
from orchestrations.interfaces.dashboard.presentation.bulk_jobs import describe, show
from orchestrations.interfaces.dashboard.presentation.verbs import VERBS, Verb
from orchestrations.interfaces.dashboard.shown_rows import keys_in
from orchestrations.interfaces.dashboard.versions import jobs_version
from orchestrations.models import AuditEntry, BulkJob, Instance
from orchestrations.search.filters import filter_of
from orchestrations.search.language import QueryError, parse

OUTCOMES = {"": "All", "failed": "Failed", "skipped": "Skipped"}
BULK_VERBS = {slug: verb for slug, verb in VERBS.items() if verb.action in ACTS}


@require_http_methods(["GET", "POST"])
@needs(Action.VIEW, narrowed=True)
def new(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Preview an act on the instances that the address chooses, and with the form make it a job."""
    now = timezone.now()
    try:
        selection, words = _chosen(request, hub, now)
    except QueryError as error:
        return render(request, "dashboard/bulk/choose.html", {**_where(hub), "problem": str(error)}, status=422)
    verb = BULK_VERBS.get(request.GET.get("action", ""))
    if verb is None:
        return _choose(request, hub, selection, words)
    if not can_somewhere(person(request), verb.action, hub):
        require(request, verb.action)
    form = BulkForm(request.POST if request.method == "POST" else None, action=verb.action, now=now)
    if request.method != "POST" or not form.is_valid():
        return _ask(request, hub, selection, verb, form, words, 422 if request.method == "POST" else 200)
    if selection.where is not None:
        selection = _chosen(request, hub, form.cleaned_data["seen"])[0].frozen(form.cleaned_data["seen"])
    return _make(request, hub, selection, verb, form, words)


@require_GET
@needs(Action.VIEW, narrowed=True)
def index(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The jobs of the task hub that the reader may know of, newest first."""
    newest, cursor = jobs.newest(hub), request.GET.get("cursor")
    try:
        page = jobs.page(hub, cursor=cursor, for_user=person(request))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    address = reverse("dashboard:bulk", args=[hub])
    shown = {"ids": ",".join(str(job.pk) for job in page.items)} | ({} if cursor else {"newest": str(newest)})
    context = {
        **_rows(hub, page.items, newest),
        **_addresses(hub, urlencode(shown)),
        "newer": page.previous_cursor and f"{address}?cursor={page.previous_cursor}",
        "older": page.next_cursor and f"{address}?cursor={page.next_cursor}",
    }
    return render(request, "dashboard/bulk/index.html", context)


@require_GET
@needs(Action.VIEW, narrowed=True)
def index_live(request: HttpRequest, *, hub: str) -> HttpResponse:
    """The jobs that a page shows, as they stand now, and how many were made since."""
    newest = jobs.newest(hub)
    shown, known = keys_in(request.GET.get("ids", "")), keys_in(request.GET.get("newest", ""))
    found = jobs.again(hub, shown, person(request))
    context = {**_rows(hub, found, newest), **_addresses(hub, request.GET.urlencode())}
    if known:
        context["newer_count"] = jobs.count_newer(hub, known[0], person(request))
    return render(request, "dashboard/bulk/_jobs.html", context)


@require_GET
@needs(Action.VIEW, narrowed=True)
def index_tick(request: HttpRequest, *, hub: str) -> HttpResponseBase:
    """Whether any of those jobs has come further, or there are newer ones."""
    return answering.answer(request, {"jobs": topics.bulk_jobs(hub, keys_in(request.GET.get("ids", "")))})


@require_GET
@needs(Action.VIEW, narrowed=True)
def one(request: HttpRequest, *, hub: str, job_id: int) -> HttpResponse:
    """How far a job has come."""
    return render(request, "dashboard/bulk/job.html", _context(request, hub, _find(request, hub, job_id)))


@require_GET
@needs(Action.VIEW, narrowed=True)
def live(request: HttpRequest, *, hub: str, job_id: int) -> HttpResponse:
    """The progress as it stands now."""
    context = {**_context(request, hub, _find(request, hub, job_id)), "is_refresh": True}
    return render(request, "dashboard/bulk/_progress.html", context)


@require_GET
@needs(Action.VIEW, narrowed=True)
def tick(request: HttpRequest, *, hub: str, job_id: int) -> HttpResponseBase:
    """Whether the job has come further."""
    return answering.answer(request, {"bulk_job": topics.bulk_job(_find(request, hub, job_id).pk)})


@require_http_methods(["GET", "POST"])
@needs(Action.VIEW, narrowed=True)
def stop(request: HttpRequest, *, hub: str, job_id: int) -> HttpResponse:
    """Ask why, and stop the job: when the next page shows, it acts on nothing more."""
    job = _find(request, hub, job_id)
    form = RequiredReasonForm(request.POST if request.method == "POST" else None)
    if not job.is_over and not form.is_valid():
        context = {**_context(request, hub, job), "form": form}
        return render(request, "dashboard/bulk/stop.html", context, status=422 if form.errors else 200)
    if not _stop(request, job, form):
        job.refresh_from_db()
        return render(request, "dashboard/bulk/over.html", _context(request, hub, job), status=409)
    messages.success(request, "The job is stopped. What it has done stays done.")
    return redirect("dashboard:bulk_job", hub=hub, job_id=job_id)


def _stop(request: HttpRequest, job: BulkJob, form: RequiredReasonForm) -> bool:
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    address = request.META.get("REMOTE_ADDR")
    try:
        return jobs.stop(person(request), job, reason=reason, via=AuditEntry.Via.DASHBOARD, address=address)
    except PermissionRefused as refused:
        raise PermissionDenied(str(refused)) from refused


def _chosen(request: HttpRequest, hub: str, now: datetime) -> tuple[Selection, str]:
    """What the address chooses, and in words: rows by ``pk``, or with ``all`` the instances of the query ``q``."""
    if not request.GET.get("all"):
        pks = keys_in(",".join(request.GET.getlist("pk")))
        rows = Instance.objects.using(get_config().database).filter(hub=hub, is_entity=False, pk__in=pks)
        ids = tuple(rows.order_by("-created_at", "-pk").values_list("instance_id", flat=True))
        return Selection(ids=ids), "the selected instances"
    query = request.GET.get("q", "")
    words = f"all instances that match {query}" if query.strip() else "all instances of the task hub"
    return Selection(filter_of(parse(query), now)), words


def _choose(request: HttpRequest, hub: str, selection: Selection, words: str) -> HttpResponse:
    """The acts to choose from, where the address names none; or how instances are chosen, where there are none."""
    offers = [
        (verb, _with_action(request, verb))
        for verb in BULK_VERBS.values()
        if can_somewhere(person(request), verb.action, hub)
    ]
    context = {
        **_where(hub),
        "words": words,
        "offers": offers,
        "is_empty": selection.where is None and not selection.ids,
    }
    return render(request, "dashboard/bulk/choose.html", context)


def _ask(
    request: HttpRequest, hub: str, selection: Selection, verb: Verb, form: BulkForm, words: str, status: int
) -> HttpResponse:
    context = {
        **_where(hub),
        "verb": verb,
        "form": form,
        "words": words,
        "preview": jobs.preview(person(request), hub, verb.action, selection),
        "consequences": _consequences(request, hub, selection, verb),
        "action_url": request.get_full_path(),
        "back_url": _back(request, hub),
    }
    return render(request, "dashboard/bulk/new.html", context, status=status)


def _consequences(request: HttpRequest, hub: str, selection: Selection, verb: Verb) -> list[str]:
    """What a purge removes, in numbers; other acts say what they do."""
    if verb.action is not Action.PURGE:
        return []
    keys = jobs.first_keys(person(request), hub, verb.action, selection, MEASURED_INSTANCES + 1)
    return purging_many(keys) if keys else []


def _make(request: HttpRequest, hub: str, selection: Selection, verb: Verb, form: BulkForm, words: str) -> HttpResponse:
    try:
        job, _ = jobs.create(
            person(request),
            hub,
            verb.action,
            selection,
            parameters=form.parameters,
            reason=form.cleaned_data["reason"],
            via=AuditEntry.Via.DASHBOARD,
            address=request.META.get("REMOTE_ADDR"),
            request_key=form.cleaned_data["token"],
        )
    except (PayloadRejected, PermissionRefused) as refused:
        form.add_error(None, str(refused))
        return _ask(request, hub, selection, verb, form, words, 422)
    return redirect("dashboard:bulk_job", hub=hub, job_id=job.pk)


def _find(request: HttpRequest, hub: str, job_id: int) -> BulkJob:
    job = jobs.find_for(person(request), hub, job_id)
    if job is None:
        raise Http404(f"There is no bulk job {job_id}, or it has been forgotten.")
    return job


def _context(request: HttpRequest, hub: str, job: BulkJob) -> dict[str, object]:
    where = [hub, job.pk]
    return {
        **_where(hub),
        **describe(job),
        **_problems(request, job),
        "may_stop": not job.is_over and jobs.may_stop(person(request), job),
        "version": topics.version(topics.bulk_job(job.pk)),
        "tick_url": reverse("dashboard:bulk_tick", args=where),
        "live_url": f"{reverse('dashboard:bulk_live', args=where)}?{_part(request)}",
        "stop_url": reverse("dashboard:bulk_stop", args=where),
    }


def _problems(request: HttpRequest, job: BulkJob) -> dict[str, object]:
    """A page of what was skipped or failed, all of it or by the ``outcome`` that the address names."""
    outcome = request.GET.get("outcome", "")
    if outcome not in OUTCOMES:
        raise Http404("A bulk job has no such outcome.")
    try:
        page = jobs.problems(job, outcome, cursor=request.GET.get("cursor"))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    address = reverse("dashboard:bulk_job", args=[job.hub, job.pk])
    counts = {"": job.skipped + job.failed, "skipped": job.skipped, "failed": job.failed}
    return {
        "problems": page.items,
        "outcomes": [
            {"label": label, "count": counts[one], "url": f"{address}?outcome={one}", "is_current": one == outcome}
            for one, label in OUTCOMES.items()
        ],
        "earlier": page.previous_cursor and f"{address}?{_part(request, page.previous_cursor)}",
        "later": page.next_cursor and f"{address}?{_part(request, page.next_cursor)}",
    }


def _part(request: HttpRequest, cursor: str = "") -> str:
    """Which of the job's problems are shown, for an address: those of this request, or those at the cursor."""
    asked = {"outcome": request.GET.get("outcome"), "cursor": cursor or request.GET.get("cursor")}
    return urlencode({name: value for name, value in asked.items() if value})


def _rows(hub: str, found: list[BulkJob], newest: int) -> dict[str, object]:
    """The table of jobs in its version; ``newest`` is from before they were read."""
    return {
        **_where(hub),
        "jobs": [show(job) for job in found],
        "version": jobs_version(newest, ((job.pk, job.state, job.batches) for job in found)),
    }


def _addresses(hub: str, query: str) -> dict[str, object]:
    """Where a table of jobs keeps itself up to date, with the jobs that it shows and the newest that it knew of."""
    return {
        "live_url": f"{reverse('dashboard:bulk_index_live', args=[hub])}?{query}",
        "tick_url": f"{reverse('dashboard:bulk_index_tick', args=[hub])}?{query}",
    }


def _where(hub: str) -> dict[str, object]:
    return {"hub": hub, "section": "bulk"}


def _with_action(request: HttpRequest, verb: Verb) -> str:
    query = request.GET.copy()
    query["action"] = verb.slug
    return f"?{query.urlencode()}"


def _back(request: HttpRequest, hub: str) -> str:
    address = reverse("dashboard:instances", args=[hub])
    query = request.GET.get("q", "")
    return f"{address}?{request.GET.urlencode()}" if query else address
