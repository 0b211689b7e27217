"""Acts on many instances: previewed, made a job, followed and stopped, by people. And the tags of one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers as drf
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestrations.access import permissions
from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action
from orchestrations.bulk import jobs
from orchestrations.bulk.acts import checked_parameters
from orchestrations.bulk.selections import Selection
from orchestrations.client.tagging import parted
from orchestrations.interfaces.api import batch_serializers, envelopes, serializers
from orchestrations.interfaces.api.pagination import page_response
from orchestrations.interfaces.api.problems import Conflict
from orchestrations.interfaces.api.schema import IDEMPOTENCY_KEY, problems
from orchestrations.interfaces.api.views.hub import HubView, needs
from orchestrations.interfaces.api.views.instances import instance_filter
from orchestrations.models import AuditEntry, BulkJob, BulkProblem

SUMMARY = (
    "id",
    "action",
    "reason",
    "state",
    "total",
    "total_is_capped",
    "done",
    "skipped",
    "failed",
    "gone",
    "error",
    "stopped_by",
    "created_at",
    "started_at",
    "ended_at",
)
PARAMETERS = ("recursive", "event_name", "event_data")


class Batches(HubView):
    """All bulk jobs."""

    @needs(Action.VIEW, narrowed=True)
    @extend_schema(
        operation_id="list_batches",
        parameters=[serializers.PageQuery],
        responses={200: batch_serializers.BatchPage, **problems(400, 403, 404)},
    )
    def get(self, request: Request) -> Response:
        """A page of bulk jobs, newest first: all of them for who may see every instance, else what one may stop."""
        asked = self.asked(serializers.PageQuery)
        page = jobs.page(self.hub, cursor=asked.get("cursor"), limit=asked["limit"], for_user=self.person)
        return page_response(request, page, lambda job: _summary(request, job))

    @extend_schema(
        operation_id="create_batch",
        parameters=[IDEMPOTENCY_KEY],
        request=batch_serializers.BATCH,
        responses={
            200: OpenApiResponse(batch_serializers.PreviewAnswer, "With `dry_run`: what it would reach."),
            202: OpenApiResponse(batch_serializers.BatchDetail, "The job, which workers carry out."),
            **problems(400, 403, 404),
        },
    )
    def post(self, request: Request) -> Response:
        """Act on many instances, as a job that workers carry out a batch at a time.

        Needs the permission of the act, or a grant of it, which reaches the instances of its names alone; rights are
        looked at again for every batch. Instances that are started after the request are left alone. With `dry_run`
        nothing happens.
        """
        given = self._given()
        action = Action(given["action"])
        if not permissions.can_somewhere(self.person, action, self.hub):
            permissions.require(self.person, action)
        selection = self._selection(given["instances"])
        parameters = _parameters(action, given)
        if given["dry_run"]:
            return Response(_preview(jobs.preview(self.person, self.hub, action, selection)))
        job, _ = jobs.create(
            self.person,
            self.hub,
            action,
            selection,
            parameters=parameters,
            reason=given["reason"],
            via=AuditEntry.Via.API,
            address=request.META.get("REMOTE_ADDR"),
            request_key=request.headers.get("Idempotency-Key"),
        )
        body = _detail(request, job, payloads=self.sees_all_payloads)
        return Response(body, status=status.HTTP_202_ACCEPTED, headers={"Location": body["url"]})

    def _given(self) -> dict[str, Any]:
        """The body, by the act that it names."""
        action = envelopes.member(self.body, "action")
        body = batch_serializers.BODY_OF_ACTION.get(action) if isinstance(action, str) else None
        if body is None:
            acts = ", ".join(batch_serializers.BODY_OF_ACTION)
            raise drf.ValidationError({"action": [f"Name one of these: {acts}."]})
        return self.given(body)

    def _selection(self, chosen: Any) -> Selection:
        if isinstance(chosen, list):
            return Selection.of_ids(chosen)
        return Selection(instance_filter(self.hub, {**chosen, "tag": chosen.get("tags", {})}))


class Batch(HubView):
    """One bulk job."""

    @needs(Action.VIEW, narrowed=True)
    @extend_schema(operation_id="get_batch", responses={200: batch_serializers.BatchDetail, **problems(403, 404)})
    def get(self, request: Request, batch_id: int) -> Response:
        """How far the job has come, and the first instances that were skipped or failed."""
        return Response(_detail(request, _find(self, batch_id), payloads=self.sees_all_payloads))


class BatchProblems(HubView):
    """The instances that a bulk job did not act on."""

    @needs(Action.VIEW, narrowed=True)
    @extend_schema(
        operation_id="list_batch_problems",
        parameters=[batch_serializers.ProblemQuery],
        responses={200: batch_serializers.ProblemPage, **problems(400, 403, 404)},
    )
    def get(self, request: Request, batch_id: int) -> Response:
        """A page of the instances that were skipped or failed, and why, in the order of their turns.

        Of each outcome the first 10,000 are kept.
        """
        asked = self.asked(batch_serializers.ProblemQuery)
        page = jobs.problems(
            _find(self, batch_id), asked.get("outcome", ""), cursor=asked.get("cursor"), limit=asked["limit"]
        )
        return page_response(request, page, _problem)


class StopBatch(HubView):
    """The end of a bulk job before its time."""

    @needs(Action.VIEW, narrowed=True)
    @extend_schema(
        operation_id="stop_batch",
        request=serializers.ReasonBody,
        responses={200: batch_serializers.BatchDetail, **problems(400, 403, 404, 409)},
    )
    def post(self, request: Request, batch_id: int) -> Response:
        """Stop the job. Once this is answered, it acts on nothing more; what it has done stays done."""
        reason, address = self.given(serializers.ReasonBody)["reason"], request.META.get("REMOTE_ADDR")
        job = _find(self, batch_id)
        if not jobs.stop(self.person, job, reason=reason, via=AuditEntry.Via.API, address=address):
            raise Conflict(f"The job is {_find(self, batch_id).state} already. Nothing was stopped.", "job_is_over")
        return Response(_detail(request, _find(self, batch_id), payloads=self.sees_all_payloads))


class Tags(HubView):
    """The tags of one instance."""

    @needs(Action.SET_TAGS, Verb.SET_TAGS)
    @extend_schema(
        operation_id="set_instance_tags",
        request=batch_serializers.TagsBody,
        responses={200: batch_serializers.TagsAnswer, **problems(400, 403, 404)},
    )
    def patch(self, request: Request, instance_id: str) -> Response:
        """Set tags, and remove those that are null; the others stay. The answer has all of them."""
        given = self.given(batch_serializers.TagsBody)
        tags, removed = parted(given["tags"])
        return Response({"tags": self.client.set_tags(instance_id, tags, remove=removed, reason=given["reason"])})


def _find(view: HubView, batch_id: int) -> BulkJob:
    job = jobs.find_for(view.person, view.hub, batch_id)
    if job is None:
        raise NotFound("There is no such bulk job, or it has been forgotten.")
    return job


def _parameters(action: Action, given: dict[str, Any]) -> dict[str, Any]:
    tags, removed = parted(given.get("tags", {}))
    known = {name: given[name] for name in PARAMETERS if name in given}
    return checked_parameters(action, **known, tags=tags, remove_tags=removed)


def _preview(preview: jobs.Preview) -> dict[str, Any]:
    return {
        "count": preview.count.value,
        "is_capped": preview.count.is_capped,
        "left_out": preview.left_out,
        "first_instance_ids": [row.instance_id for row in preview.first],
    }


def _summary(request: Request, job: BulkJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in SUMMARY} | {
        "url": reverse("api:batch", args=[job.pk], request=request),
        "created_by": job.creator_name,
    }


def _problem(row: BulkProblem) -> dict[str, str]:
    return {"instance_id": row.instance_id, "outcome": row.outcome, "why": row.why}


def _detail(request: Request, job: BulkJob, *, payloads: bool) -> dict[str, Any]:
    parameters = job.parameters if payloads else {**job.parameters, "event_data": None}
    kept = {name: value for name, value in parameters.items() if name in job.parameters}
    first = jobs.first_problems(job)
    return {**_summary(request, job), "parameters": kept, "problems": [_problem(row) for row in first]}
