"""An example of each request and answer, for the schema and for the reference that is made of it.

They tell one story: an order that waits until somebody approves it. A test holds each against the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SITE = "https://durable.example.com"
ORDER = "order-1042"
ADDRESS = f"{SITE}/api/instances/{ORDER}/"
STARTED = {"instance_id": ORDER, "url": ADDRESS}
FORKED = {"instance_id": "9e27c0b1a4", "url": f"{SITE}/api/instances/9e27c0b1a4/"}
REASON = {"reason": "The supplier confirmed by telephone."}

SUMMARY: dict[str, Any] = {
    "instance_id": ORDER,
    "name": "fulfil_order",
    "version": "2",
    "status": "Running",
    "tags": {"region": "eu"},
    "execution": 1,
    "error": "",
    "waiting_for": "External event 'approval'",
    "created_at": "2026-03-01T12:00:00Z",
    "scheduled_start_at": None,
    "started_at": "2026-03-01T12:00:00.021000Z",
    "last_updated_at": "2026-03-01T12:00:02.407000Z",
    "completed_at": None,
    "url": ADDRESS,
}
DETAIL: dict[str, Any] = {
    **SUMMARY,
    "parent_instance_id": None,
    "forked_from": None,
    "forked_step": None,
    "blocked_at": "shop/orchestrations.py:31",
    "waits": [{"kind": "ExternalEvent", "name": "approval", "since": "2026-03-01T12:00:02.407000Z"}],
    "actions": ["raise_event", "suspend", "terminate"],
    "input": {"customer": "ada", "amount": "129.90"},
    "output": None,
    "custom_status": "waiting for approval",
    "failure": None,
    "payloads": "shown",
    "unavailable_payloads": [],
}
EVENT: dict[str, Any] = {
    "sequence": 2,
    "type": "TaskScheduled",
    "timestamp": "2026-03-01T12:00:00.021000Z",
    "task_id": 1,
    "attempt": 1,
    "name": "reserve_stock",
    "attributes": {},
    "payload_preview": '{"customer":"ada","amount":"129.90"}',
    "payload_length": 36,
}
WAIT: dict[str, Any] = {
    "id": 7,
    "instance_id": ORDER,
    "event": "approval",
    "since": "2026-03-01T12:00:02.407000Z",
    "due_at": "2026-03-03T12:00:00Z",
    "title": "Approve the order?",
    "summary": {"Customer": "ada", "Amount": "129.90"},
    "location": "shop/orchestrations.py:31",
}
APPROVAL: dict[str, Any] = {
    "id": 7,
    "instance_id": ORDER,
    "orchestrator": "fulfil_order",
    "event": "approval",
    "title": "Approve the order?",
    "state": "open",
    "priority": 0,
    "asked_at": "2026-03-01T12:00:02.407000Z",
    "due_at": "2026-03-03T12:00:00Z",
    "approvals": 0,
    "approvals_needed": 1,
    "rejections": 0,
    "rejections_needed": 1,
    "assignee": None,
    "answered_by": "",
    "outcome": "",
    "closed_at": None,
    "url": f"{SITE}/api/approvals/7/",
}
APPROVAL_DETAIL: dict[str, Any] = {
    **APPROVAL,
    "description": "The customer is new.",
    "summary": {"Customer": "ada", "Amount": "129.90"},
    "form": {},
    "initial": {},
    "on_timeout": None,
    "may_not_answer": "",
    "votes": [],
    "thread": [{"kind": "comment", "by": "bob", "at": "2026-03-01T12:30:00Z", "text": "Is this urgent?", "to": ""}],
}
ANSWERED: dict[str, Any] = {
    **APPROVAL_DETAIL,
    "state": "answered",
    "approvals": 1,
    "answered_by": "ada",
    "outcome": "approve",
    "closed_at": "2026-03-01T13:00:00Z",
    "votes": [
        {
            "by": "ada",
            "at": "2026-03-01T13:00:00Z",
            "outcome": "approve",
            "comment": "Known customer.",
            "via": "API",
        }
    ],
}
ENTITY: dict[str, Any] = {
    "name": "stock",
    "key": "A-17",
    "exists": True,
    "state": {"left": 4},
    "payloads": "shown",
    "last_operation_at": "2026-03-01T12:00:01Z",
    "locked_by": None,
    "backlog_size": 0,
}
BATCH_SUMMARY: dict[str, Any] = {
    "id": 3,
    "url": f"{SITE}/api/batches/3/",
    "action": "terminate",
    "reason": "The campaign was called off.",
    "state": "Running",
    "total": 1200,
    "total_is_capped": False,
    "done": 300,
    "skipped": 1,
    "failed": 0,
    "gone": 0,
    "error": "",
    "created_by": "ada",
    "stopped_by": "",
    "created_at": "2026-03-01T12:00:00Z",
    "started_at": "2026-03-01T12:00:01Z",
    "ended_at": None,
}
BATCH: dict[str, Any] = {**BATCH_SUMMARY, "parameters": {"recursive": True}, "problems": []}
STREAM = (
    "retry: 2000\n\n"
    "event: history\nid: 1.5\n"
    'data: {"sequence":5,"type":"EventRaised","name":"approval","…":"…"}\n\n'
    "event: status\nid: 1.6\n"
    'data: {"instance_id":"order-1042","status":"Completed","…":"…"}\n\n'
)

WEBHOOK: dict[str, Any] = {
    "id": 4,
    "name": "shipping partner",
    "url": "https://partner.example/hooks/orders",
    "events": ["completed", "failed"],
    "hub": "default",
    "name_pattern": "fulfil_*",
    "include_payloads": False,
    "enabled": True,
    "failing_since": None,
    "disabled_reason": "",
    "previous_secret_until": None,
    "created_at": "2026-03-01T09:30:00Z",
}
MESSAGE: dict[str, Any] = {
    "id": 512,
    "message_id": "msg_0c1f6a0f3d3c4b0f9f4e5a6b7c8d9e0f",
    "event": "completed",
    "instance_id": ORDER,
    "execution": 1,
    "state": "Dead",
    "attempts": 9,
    "last_status": 500,
    "last_error": "The receiver answered 500.",
    "created_at": "2026-03-01T12:00:02.407000Z",
    "next_attempt_at": None,
    "delivered_at": None,
}
INCOMING: dict[str, Any] = {
    "id": 2,
    "name": "web shop",
    "slug": "shop",
    "address": f"{SITE}/webhooks/in/shop/",
    "enabled": True,
    "scheme": "standard",
    "signature_header": "",
    "signature_prefix": "",
    "signature_encoding": "hex",
    "signed_content": "{body}",
    "timestamp_header": "",
    "id_header": "",
    "act": "start",
    "orchestrator": "fulfil_order",
    "event_name": "",
    "instance_id": "order-{body.order.id}",
    "mapping": {"customer": "{body.order.customer}"},
    "requests_per_minute": 600,
    "previous_secret_until": None,
    "created_at": "2026-03-01T09:40:00Z",
}
NEW_SECRET = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "previous_secret_until": "2026-03-02T12:00:00Z"}


def page(*rows: dict[str, Any]) -> dict[str, Any]:
    """A page with these rows, which has none after it."""
    return {"next": None, "previous": None, "results": list(rows)}


@dataclass(frozen=True, slots=True)
class Example:
    """What somebody sends (in a body and in the query) and is answered, by status; None where a body is empty."""

    answers: dict[int, Any] = field(default_factory=dict)
    body: Any = None
    query: str = ""


ACCEPTED: dict[int, Any] = {202: None}

EXAMPLES: dict[str, Example] = {
    "list_instances": Example({200: page(SUMMARY)}, query="status=Running&name=fulfil_order&tag=region:eu"),
    "start_instance": Example(
        {201: STARTED, 200: STARTED},
        {"orchestrator": "fulfil_order", "input": {"customer": "ada", "amount": "129.90"}, "tags": {"region": "eu"}},
    ),
    "count_instances": Example(
        {200: [{"status": "Running", "count": 12, "is_capped": False}]}, query="status=Running&name=fulfil_order"
    ),
    "get_instance": Example({200: DETAIL, 304: None}),
    "purge_instance": Example({200: {"instances_deleted": 1}}, query="recursive=true&reason=Ordered+twice."),
    "list_history": Example(
        {200: {"execution": 1, "next_after": None, "payloads": "shown", "results": [EVENT]}}, query="type=TaskScheduled"
    ),
    "stream_instance": Example({200: STREAM, 204: None}, query="after=0"),
    "list_instance_waits": Example({200: [WAIT]}),
    "raise_event": Example(ACCEPTED, {"approved": True}),
    "terminate_instance": Example(ACCEPTED, {**REASON, "recursive": True}),
    "suspend_instance": Example(ACCEPTED, REASON),
    "resume_instance": Example(ACCEPTED, REASON),
    "rewind_instance": Example(ACCEPTED, REASON),
    "fork_instance": Example({201: FORKED, 200: FORKED}, {"step": 4, "reason": "The price was wrong."}),
    "restart_instance": Example({201: {**STARTED, "instance_id": "4b1f2c7d9e"}}, {"with_new_instance_id": True}),
    "retry_task": Example(ACCEPTED, REASON),
    "skip_timer": Example(ACCEPTED, REASON),
    "complete_task": Example(ACCEPTED, {**REASON, "result": {"receipt": "R-1"}}),
    "set_instance_tags": Example({200: {"tags": {"region": "eu", "team": "blue"}}}, {"tags": {"team": "blue"}}),
    "list_batches": Example({200: page(BATCH_SUMMARY)}),
    "create_batch": Example(
        {
            200: {"count": 1200, "is_capped": False, "left_out": 7, "first_instance_ids": [ORDER]},
            202: BATCH,
        },
        {
            "action": "terminate",
            "instances": {"name": "fulfil_order", "status": ["Running"]},
            "reason": "The campaign was called off.",
        },
    ),
    "get_batch": Example({200: BATCH}),
    "list_batch_problems": Example(
        {200: page({"instance_id": ORDER, "outcome": "skipped", "why": "It is Completed."})}, query="outcome=skipped"
    ),
    "stop_batch": Example({200: {**BATCH, "state": "Stopped", "stopped_by": "ada"}}, {"reason": "It took too many."}),
    "list_waits": Example({200: [WAIT]}),
    "list_approvals": Example({200: page(APPROVAL)}, query="tab=mine"),
    "get_approval": Example({200: APPROVAL_DETAIL}),
    "answer_approval": Example({200: ANSWERED}, {"answer": {"approved": True}, "comment": "Known customer."}),
    "act_on_approval": Example({200: {**APPROVAL_DETAIL, "assignee": "ada"}}),
    "comment_approval": Example({200: APPROVAL_DETAIL}, {"text": "Is this urgent?"}),
    "delegate_approval": Example({200: APPROVAL_DETAIL}, {"to": "bob", "reason": "He knows the customer."}),
    "override_approval": Example(
        {200: ANSWERED}, {"answer": {"approved": True}, "reason": "Those who are asked are away."}
    ),
    "list_entities": Example({200: {"next": None, "results": [ENTITY]}}, query="name=stock"),
    "get_entity": Example({200: ENTITY}),
    "signal_entity": Example(ACCEPTED, {"operation": "reserve", "input": 1}),
    "list_webhooks": Example({200: page(WEBHOOK)}),
    "create_webhook": Example(
        {201: {**WEBHOOK, "secret": NEW_SECRET["secret"]}},
        {name: WEBHOOK[name] for name in ("name", "url", "events", "name_pattern")},
    ),
    "get_webhook": Example({200: WEBHOOK}),
    "change_webhook": Example({200: {**WEBHOOK, "enabled": False}}, {"enabled": False, "reason": "They move house."}),
    "delete_webhook": Example({204: None}),
    "rotate_webhook_secret": Example({200: NEW_SECRET}, {"reason": "Somebody has left."}),
    "list_deliveries": Example({200: page(MESSAGE)}, query="state=Dead"),
    "get_delivery": Example(
        {
            200: {
                **MESSAGE,
                "message": {
                    "type": "orchestration.completed",
                    "timestamp": "2026-03-01T12:00:02.407000Z",
                    "data": {"hub": "default", "instance_id": ORDER, "name": "fulfil_order", "status": "Completed"},
                },
                "payloads": "shown",
            }
        }
    ),
    "resend_delivery": Example(
        {202: {**MESSAGE, "state": "Pending", "attempts": 0, "next_attempt_at": "2026-03-01T15:00:00Z"}},
        {"reason": "They have mended it."},
    ),
    "list_incoming_webhooks": Example({200: page(INCOMING)}),
    "create_incoming_webhook": Example(
        {201: {**INCOMING, "secret": NEW_SECRET["secret"]}},
        {name: INCOMING[name] for name in ("name", "slug", "orchestrator", "instance_id", "mapping")},
    ),
    "get_incoming_webhook": Example({200: INCOMING}),
    "change_incoming_webhook": Example({200: {**INCOMING, "requests_per_minute": 60}}, {"requests_per_minute": 60}),
    "delete_incoming_webhook": Example({204: None}),
    "rotate_incoming_webhook_secret": Example(
        {200: {**NEW_SECRET, "secret": None}}, {"secret": "what the sender shows now"}
    ),
    "list_functions": Example(
        {
            200: [
                {
                    "name": "fulfil_order",
                    "kind": "orchestrator",
                    "version": "2",
                    "description": "Reserve, ask, ship.",
                    "input_schema": {"type": "object", "properties": {"customer": {"type": "string"}}},
                }
            ]
        }
    ),
    "list_workers": Example(
        {
            200: [
                {
                    "worker": "host-1/4711",
                    "started_at": "2026-03-01T09:00:00Z",
                    "heartbeat_at": "2026-03-01T12:00:00Z",
                    "expires_at": "2026-03-01T12:00:30Z",
                    "in_flight": 3,
                    "capacity": 64,
                    "functions": {},
                }
            ]
        }
    ),
    "list_audit_entries": Example(
        {
            200: page(
                {
                    "id": 99,
                    "at": "2026-03-01T12:05:00Z",
                    "instance_id": ORDER,
                    "action": "terminate",
                    "actor": "ada",
                    "reason": REASON["reason"],
                    "details": {"recursive": True},
                    "via": "API",
                }
            )
        },
        query=f"instance_id={ORDER}",
    ),
}
"""By operation."""

PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("invalid", "Nothing has this name here. Known: reason."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    403: ("permission_refused", "User 'ada' may not terminate. Ask an administrator for the permission …"),
    404: ("instance_not_found", "No instance 'order-1042' exists."),
    406: ("not_acceptable", "Could not satisfy the request Accept header."),
    409: ("instance_ended", "Instance 'order-1042' is Completed."),
    422: ("answer_rejected", "The answer does not fit the form."),
    429: ("throttled", "The API key 'robot' allows 60 requests a minute. Try again in the next one."),
    501: ("no_streams", "This site is served by WSGI, which can't keep streams open."),
    503: ("unavailable", "The database does not answer at the moment. Try again in a few seconds."),
}
"""A typical code and detail of each status."""


def problem(status: int, title: str) -> dict[str, Any]:
    """A typical problem of that status."""
    code, detail = PROBLEMS[status]
    told: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return told | ({"errors": [{"path": "$.reasn", "message": detail}]} if status == 400 else {})
