"""What each operation takes and answers, for the schema: one line for each handler of the table of routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.http.response import HttpResponseBase

from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.management_api import (
    acting,
    approvals,
    batches,
    counting,
    documentation,
    entities,
    reading,
    starting,
    streaming,
    webhooks,
)
from orchestrations.interfaces.management_api import shapes as s
from orchestrations.interfaces.management_api import wire_shapes as w
from orchestrations.interfaces.management_api.reading import CONTINUATION_HEADER, TOP
from orchestrations.limits import IDEMPOTENCY_KEY_LENGTH, LIST_PAGE_MAXIMUM, REASON_LENGTH, VERSION_LENGTH
from orchestrations.models import WebhookDelivery

Schema = dict[str, Any]
Handler = Callable[..., HttpResponseBase]

NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
INSTANT: Schema = {"type": "string", "format": "date-time"}
NO_NUL = "^[^\\x00]*$"
JSON = "application/json"
STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query, or a header."""

    name: str
    schema: Schema
    meaning: str = ""
    place: str = "query"
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What a request may send as JSON: a type, or ``Any``."""

    kind: Any
    is_needed: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``answers`` has a type for each status, None for no body, and ``Any`` for any JSON.

    ``refusals`` are the statuses of errors beside those that every operation may answer with.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Any] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    media_type: str = JSON
    is_paged: bool = False


def _flag(name: str, default: bool, meaning: str) -> Parameter:
    return Parameter(name, {"type": "boolean", "default": default}, f"{meaning} Ignored where it can't be read.")


def _number(name: str, meaning: str) -> Parameter:
    return Parameter(name, NUMBER, f"{meaning} Ignored where it can't be read.")


def _seconds(name: str, meaning: str) -> Parameter:
    return Parameter(name, {"type": "number", "minimum": 0}, f"{meaning} Ignored where it can't be read.")


def _instant(name: str, meaning: str = "") -> Parameter:
    return Parameter(name, INSTANT, meaning)


def _text(name: str, meaning: str, **bounds: Any) -> Parameter:
    return Parameter(name, {"type": "string", **bounds}, meaning)


def _words(name: str, choices: list[str], meaning: str) -> Parameter:
    meaning = f"{meaning}Repeated, or separated by commas, in any letter case."
    return Parameter(name, {"type": "array", "items": {"type": "string", "enum": choices}}, meaning)


SHOW_INPUT = _flag("showInput", True, "What was given.")
SHOW_OUTPUT = _flag("showHistoryOutput", False, "What functions returned.")
AS_ERROR = _flag("returnInternalServerErrorOnFailure", False, "A failed instance is told as a 500.")
RECURSIVE = "Sub-orchestrations too."
REASON = _text("reason", "Why; kept in histories and audit rows.", maxLength=REASON_LENGTH, pattern=NO_NUL)
WAIT = (
    _seconds("timeout", "With `pollingInterval`: wait for the end for so many seconds at most."),
    _seconds("pollingInterval", "No longer than `timeout`."),
    AS_ERROR,
)
VERSION = _text("version", "The version to start.", maxLength=VERSION_LENGTH, pattern="^[^\\x00-\\x1f\\x7f]*$")
FILTER = (
    _text("instanceIdPrefix", "What ids begin with."),
    _instant("createdTimeFrom"),
    _instant("createdTimeTo", "Exclusive."),
    _words("runtimeStatus", [status.value for status in RuntimeStatus], ""),
    _text("name", "The orchestrator."),
    _text("version", "Empty: those without one."),
    Parameter(
        "tag",
        {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:"}},
        "`name:value`; repeat it for several, which must all be there.",
    ),
)
PAGE = (
    Parameter(
        "top",
        {"type": "integer", "minimum": 1, "default": TOP},
        f"Rows of one page, {LIST_PAGE_MAXIMUM} at most. Ignored where it can't be read.",
    ),
    Parameter(
        CONTINUATION_HEADER,
        {"type": "string"},
        "From the answer before: which page. Another text is 400.",
        place="header",
    ),
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_LENGTH, "pattern": "^[\\x21-\\x7e]+$"},
    "Makes a repeated request harmless.",
    place="header",
)
STATES = [state.value for state in WebhookDelivery.State]
GROUPS = {"type": "string", "pattern": "^([sS]tatus|[nN]ame|[vV]ersion|tag:.+)$"}
STARTED = {200: Any, 202: w.Links, 500: w.Status}

OPERATIONS: dict[Handler, Operation] = {
    starting.start: Operation(
        "startOrchestration", (*WAIT, VERSION), Body(Any, is_needed=False), STARTED, refusals=(409,)
    ),
    starting.restart: Operation(
        "restartInstance",
        (_flag("restartWithNewInstanceId", True, "Under a new id."), *WAIT),
        answers=STARTED,
        refusals=(409,),
    ),
    starting.fork: Operation(
        "forkInstance",
        (
            Parameter("step", NUMBER, "The number of an event of the present execution.", is_needed=True),
            _text("newInstanceId", "Made at random unless given."),
            VERSION,
            REASON,
            *WAIT,
            IDEMPOTENCY_KEY,
        ),
        answers=STARTED,
        refusals=(409,),
    ),
    reading.list_instances: Operation(
        "listInstances",
        (*FILTER, SHOW_INPUT, _flag("includeEntities", False, "Entities too.")),
        answers={200: list[w.Status]},
        is_paged=True,
    ),
    acting.purge_many: Operation(
        "purgeInstances",
        (replace(FILTER[1], is_needed=True), FILTER[0], *FILTER[2:], REASON),
        answers={200: w.Purged, 400: w.Error | str},
    ),
    counting.count: Operation(
        "countInstances",
        (Parameter("groupBy", GROUPS, "Without it: the instance of that id.", is_needed=True), *FILTER),
        answers={200: list[s.Count], 404: None},
    ),
    reading.status: Operation(
        "getInstance",
        (_flag("showHistory", False, "The history too."), SHOW_OUTPUT, SHOW_INPUT, AS_ERROR),
        answers={200: w.Status, 202: w.Status, 404: None, 500: w.Status},
    ),
    acting.purge: Operation(
        "purgeInstance", (_flag("recursive", False, RECURSIVE), REASON), answers={200: w.Purged}, refusals=(409,)
    ),
    reading.history: Operation(
        "listHistory",
        (
            Parameter("from", {"anyOf": [NUMBER, INSTANT]}, "The number of the first event, or an instant."),
            _words("type", [kind.value for kind in EventType], ""),
            _number("execution", "The current one unless given."),
            SHOW_INPUT,
            SHOW_OUTPUT,
        ),
        answers={200: list[w.Event]},
        is_paged=True,
    ),
    streaming.stream: Operation(
        "streamInstance",
        (
            _number("from", "The number of the first event to be told."),
            SHOW_INPUT,
            SHOW_OUTPUT,
            Parameter(
                streaming.LAST_EVENT_ID,
                {"type": "string", "pattern": r"^[0-9]{1,9}\.[0-9]{1,9}$"},
                "The `id` of the last event that was received.",
                place="header",
            ),
        ),
        answers={200: str, 204: None},
        refusals=(501,),
        media_type=STREAM,
    ),
    approvals.list_approvals: Operation("listApprovals", answers={200: list[s.Approval]}, is_paged=True),
    approvals.answer: Operation(
        "answerApproval", (), Body(s.AnswerBody), answers={200: s.Approval}, refusals=(409, 422)
    ),
    acting.set_tags: Operation("setTags", (REASON,), Body(s.TagChanges), answers={200: dict[str, str]}),
    acting.raise_event: Operation(
        "raiseEvent",
        (_flag("unvalidated", False, "Past the form of a question, which the audit trail marks."), IDEMPOTENCY_KEY),
        Body(Any, is_needed=False),
        {202: None},
        refusals=(410, 422),
    ),
    acting.terminate: Operation(
        "terminateInstance", (REASON, _flag("recursive", True, RECURSIVE)), answers={202: None}, refusals=(410,)
    ),
    acting.suspend: Operation("suspendInstance", (REASON,), answers={202: None}, refusals=(410,)),
    acting.resume: Operation("resumeInstance", (REASON,), answers={202: None}, refusals=(410,)),
    acting.rewind: Operation("rewindInstance", (REASON,), answers={202: None}, refusals=(409, 410)),
    batches.create: Operation(
        "createBatch", (IDEMPOTENCY_KEY,), Body(s.BatchBody), answers={200: s.Preview, 202: s.Batch}
    ),
    batches.list_batches: Operation("listBatches", answers={200: list[s.BatchSummary]}, is_paged=True),
    batches.read: Operation("getBatch", answers={200: s.Batch}),
    batches.stop: Operation("stopBatch", (REASON,), answers={200: s.Batch}, refusals=(409,)),
    entities.list_entities: Operation(
        "listEntities",
        (
            _instant("lastOperationTimeFrom"),
            _instant("lastOperationTimeTo", "Exclusive."),
            _flag("fetchState", False, "The states too."),
        ),
        answers={200: list[w.EntityItem]},
        is_paged=True,
    ),
    entities.read: Operation("getEntity", answers={200: Any, 404: None}),
    entities.signal: Operation(
        "signalEntity", (_text("op", "The operation."),), Body(Any, is_needed=False), answers={202: None}
    ),
    entities.delete: Operation("deleteEntity", answers={202: None}),
    webhooks.list_webhooks: Operation(
        "listWebhooks", (_text("name", "The whole."),), answers={200: list[s.Webhook]}, is_paged=True
    ),
    webhooks.create: Operation(
        "createWebhook", (REASON,), Body(s.NewWebhook), answers={201: s.Webhook}, refusals=(409,)
    ),
    webhooks.read: Operation("getWebhook", answers={200: s.Webhook}),
    webhooks.change: Operation(
        "changeWebhook", (REASON,), Body(s.WebhookChanges), answers={200: s.Webhook}, refusals=(409,)
    ),
    webhooks.delete: Operation("deleteWebhook", (REASON,), answers={204: None}),
    webhooks.rotate_secret: Operation("rotateWebhookSecret", (REASON,), answers={200: s.Secret}),
    webhooks.list_deliveries: Operation(
        "listDeliveries", (_words("state", STATES, ""),), answers={200: list[s.Delivery]}, is_paged=True
    ),
    webhooks.read_delivery: Operation("getDelivery", answers={200: s.Delivery}),
    webhooks.resend: Operation("resendDelivery", (REASON,), answers={202: s.Delivery}),
    acting.make_primary: Operation("makePrimary", answers={200: None}),
    documentation.schema: Operation("getSchema", answers={200: dict[str, Any]}),
}
