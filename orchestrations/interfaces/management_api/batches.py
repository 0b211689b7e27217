"""Routes that act on many instances: previewed, made a job that workers carry out, followed and stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse

from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action, can_somewhere, require
from orchestrations.bulk import jobs
from orchestrations.bulk.acts import checked_parameters
from orchestrations.bulk.selections import Selection
from orchestrations.interfaces.management_api.calls import Call
from orchestrations.interfaces.management_api.links import base_url
from orchestrations.interfaces.management_api.parameters import in_utc, row_number
from orchestrations.interfaces.management_api.problems import Problem, bad_argument
from orchestrations.interfaces.management_api.reading import CONTINUATION_HEADER, TOP, page_response
from orchestrations.interfaces.management_api.rendering import instant_text, json_response
from orchestrations.interfaces.management_api.shapes import (
    Batch,
    BatchBody,
    BatchFilter,
    BatchProblem,
    BatchSummary,
    Preview,
)
from orchestrations.models import AuditEntry, BulkJob
from orchestrations.reading.queries import InstanceFilter

VIA = AuditEntry.Via.MANAGEMENT_API
VERBS = {
    Action.TERMINATE: Verb.TERMINATE,
    Action.SUSPEND: Verb.SUSPEND,
    Action.RESUME: Verb.RESUME,
    Action.REWIND: Verb.REWIND,
    Action.RESTART: Verb.RESTART,
    Action.PURGE: Verb.PURGE_MANY,
}
"""What a key must open beside batches and lists."""


def create(call: Call) -> HttpResponse:
    """Act on the instances of a filter, or of a list of ids, as a job; with ``dryRun`` only say how many that are.

    A key's job reaches the instances of its names alone, and acts with the rights that the key has at each moment.
    ``Idempotency-Key`` makes a repeated request find the job of the first.
    """
    asked = call.body(BatchBody, "batch")
    action, hub, program = Action(asked.action), call.client.hub, call.caller.program
    for verb in (Verb.LIST, VERBS[action]):
        call.caller.require(verb, hub, None)
    if not can_somewhere(program, action, hub):
        require(program, action)
    selection = _selection(asked.instances)
    parameters = checked_parameters(action, recursive=asked.recursive)
    if asked.dry_run:
        return json_response(_preview(jobs.preview(program, hub, action, selection)))
    job, _ = jobs.create(
        program,
        hub,
        action,
        selection,
        parameters=parameters,
        reason=asked.reason,
        via=VIA,
        address=call.request.META.get("REMOTE_ADDR"),
        request_key=call.request.headers.get("Idempotency-Key"),
    )
    body = _batch(call, job)
    return json_response(body, 202, {"Location": body.url})


def list_batches(call: Call) -> HttpResponse:
    """A page of bulk jobs, newest first: all for who may see every instance, else those that the caller may stop."""
    cursor, limit = call.request.headers.get(CONTINUATION_HEADER), call.query.count("top", TOP)
    page = jobs.page(call.client.hub, cursor=cursor, limit=limit, for_user=call.caller.program)
    return page_response([BatchSummary(**_summary(call, job)) for job in page.items], page.next_cursor)


def read(call: Call, number: str) -> HttpResponse:
    """How far the job has come, and the first instances that were skipped or failed."""
    return json_response(_batch(call, _find(call, number)))


def stop(call: Call, number: str) -> HttpResponse:
    """Stop the job. Once this is answered, it acts on nothing more; what it has done stays done."""
    job, address = _find(call, number), call.request.META.get("REMOTE_ADDR")
    in_time = jobs.stop(call.caller.program, job, reason=call.query.reason(), via=VIA, address=address)
    job = _find(call, number)
    if not in_time:
        raise Problem(409, f"The job is {job.state} already. Nothing was stopped.", ExceptionType="job_is_over")
    return json_response(_batch(call, job))


def _find(call: Call, number: str) -> BulkJob:
    job = jobs.find_for(call.caller.program, call.client.hub, row_number(number))
    if job is None:
        raise Problem(404, "There is no such bulk job, or it has been forgotten.", ExceptionType="batch_not_found")
    return job


def _selection(chosen: BatchFilter | list[str]) -> Selection:
    if isinstance(chosen, list):
        return Selection.of_ids(chosen)
    where = InstanceFilter(
        statuses=tuple(dict.fromkeys(chosen.runtime_status)),
        name=chosen.name,
        id_prefix=chosen.instance_id_prefix,
        parent_instance_id=chosen.parent_instance_id,
        version=chosen.version,
        tags=chosen.tags,
        error_text=chosen.error,
        created_from=_instant(chosen.created_time_from, "createdTimeFrom"),
        created_to=_instant(chosen.created_time_to, "createdTimeTo"),
        roots_only=chosen.roots_only,
    )
    return Selection(where)


def _instant(value: datetime | None, name: str) -> datetime | None:
    try:
        return None if value is None else in_utc(value)
    except OverflowError as error:
        raise bad_argument(f"{name!r} is out of range.", Path=f"$.instances.{name}") from error


def _preview(preview: jobs.Preview) -> Preview:
    first = [row.instance_id for row in preview.first]
    return Preview(preview.count.value, preview.count.is_capped, preview.left_out, first)


def _summary(call: Call, job: BulkJob) -> dict[str, Any]:
    return {
        "id": job.pk,
        "url": f"{base_url(call.request)}/batches/{job.pk}",
        "action": job.action,
        "reason": job.reason,
        "state": job.state,
        "total": job.total,
        "total_is_capped": job.total_is_capped,
        "done": job.done,
        "skipped": job.skipped,
        "failed": job.failed,
        "gone": job.gone,
        "error": job.error,
        "created_by": job.creator_name,
        "stopped_by": job.stopped_by,
        "created_time": instant_text(job.created_at),
        "started_time": instant_text(job.started_at),
        "ended_time": instant_text(job.ended_at),
    }


def _batch(call: Call, job: BulkJob) -> Batch:
    problems = [
        BatchProblem(row.instance_id, row.outcome, row.why)  # type: ignore[arg-type]  # the column has these choices
        for row in jobs.first_problems(job)
    ]
    return Batch(**_summary(call, job), recursive=bool(job.parameters.get("recursive")), problems=problems)
