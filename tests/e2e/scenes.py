"""Instances in every state that a page can show, as rows that the engine would have left."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from django.contrib.auth.models import Group, User
from django.utils import timezone

from orchestrations.bulk.selections import Selection
from orchestrations.core.entities import Caller, encode_callers
from orchestrations.core.events import EventType
from orchestrations.core.failures import FailureDetails
from orchestrations.core.human import Approval
from orchestrations.core.status import RuntimeStatus
from orchestrations.models import (
    ActivityWorkItem,
    AuditEntry,
    BulkJob,
    BulkProblem,
    DeadLetter,
    HistoryEvent,
    InboxMessage,
    Instance,
    OpenWait,
    OutgoingWebhook,
    SavedView,
    WorkerLease,
)
from orchestrations.search.filters import InstanceFilter
from tests import rows
from tests.asking import Refund, ask, closed, say, vote

HUB = "default"
PASSWORD = "durable-tests"
TRACE = """Traceback (most recent call last):
  File "/srv/site/orders/flows.py", line 48, in order_flow
    receipt = yield context.call_activity(charge_card, order)
  File "/srv/site/orders/payments.py", line 17, in charge_card
    gateway.charge(amount)
  File "/srv/venv/lib/python3.12/site-packages/gateway/client.py", line 212, in charge
    return self.post("/charges", amount=amount)
  File "/srv/venv/lib/python3.12/site-packages/gateway/client.py", line 80, in post
    raise ValueError("amount must be positive")
ValueError: amount must be positive
"""
FAILURE = {
    "errorType": "TaskFailedError",
    "errorMessage": "Activity charge_card (task 3) failed: amount must be positive",
    "stackTrace": TRACE,
    "isNonRetriable": False,
    "innerFailure": {
        "errorType": "ValueError",
        "errorMessage": "amount must be positive",
        "stackTrace": TRACE,
        "innerFailure": None,
        "isNonRetriable": True,
    },
}


def build() -> None:
    """Fill an empty database: people, and a dozen instances."""
    people()
    now = timezone.now().replace(microsecond=120_000)
    completed(now - timedelta(minutes=41), "ref-88")
    for number in range(3):
        completed(now - timedelta(minutes=60 + number * 7), f"etl-2026-01-0{number + 1}", name="nightly_etl")
    failed(now - timedelta(minutes=32), "clm-1B09")
    suspended(now - timedelta(minutes=51), "ob-552")
    terminated(now - timedelta(minutes=55), "etl-2026-01-04")
    pending(now - timedelta(minutes=3), "ord-7F3A-0003")
    retrying(now - timedelta(minutes=27), "ord-7F3A-0002")
    fan_out(now - timedelta(minutes=2), "batch-2026-01-20")
    waiting(now - timedelta(hours=2, minutes=11), "ord-7F3A-0001")
    long(now - timedelta(hours=30), "etl-2026-01-05", 3_000)
    lease, *_ = workers(now)
    loop(now - timedelta(minutes=9), "mon-31", lease)
    purged("old-order")


def people() -> None:
    """One of each role; all with the same password."""
    User.objects.create_superuser("admin", password=PASSWORD)
    group = Group.objects.create(name="Finance approvers")
    dana = User.objects.create_user("dana", password=PASSWORD)
    dana.groups.add(group)


def add(at: datetime, instance_id: str, name: str = "order_flow", **columns: object) -> Instance:
    """One instance row."""
    defaults: dict[str, object] = {
        "status": "Running",
        "created_at": at,
        "started_at": at + timedelta(milliseconds=40),
        "last_updated_at": at + timedelta(seconds=30),
        "input": json.dumps({"order": instance_id, "customer": "Acme GmbH", "total": "1840.00", "lines": [1, 2, 3]}),
    }
    return Instance.objects.create(hub=HUB, instance_id=instance_id, name=name, **(defaults | columns))


def tell(instance: Instance, *events: tuple[float, EventType, dict[str, object]]) -> None:
    """Append history events, each that many seconds after the instance's creation."""
    rows = []
    for after, event_type, columns in events:
        instance.last_sequence += 1
        told = columns.pop("attributes", None)
        payload = columns.pop("payload", None)
        rows.append(
            HistoryEvent(
                instance=instance,
                execution=instance.execution,
                sequence=instance.last_sequence,
                type=event_type.value,
                timestamp=instance.created_at + timedelta(seconds=after),
                attributes=json.dumps(told) if told else None,
                payload=json.dumps(payload) if payload is not None else None,
                **columns,
            )
        )
    HistoryEvent.objects.bulk_create(rows)
    instance.save()


def ran(
    task_id: int, name: str, start: float, queued: float, end: float, at: datetime
) -> list[tuple[float, EventType, dict[str, object]]]:
    """An activity that was scheduled, began after ``queued`` seconds and completed."""
    began = (at + timedelta(seconds=start + queued)).isoformat()
    return [
        (start, EventType.TASK_SCHEDULED, {"task_id": task_id, "name": name, "payload": {"order": 7}}),
        (
            end,
            EventType.TASK_COMPLETED,
            {
                "task_id": task_id,
                "name": name,
                "payload": "ok",
                "attributes": {"started_at": began, "worker": "web-1:4711"},
            },
        ),
    ]


def begun(at: datetime) -> list[tuple[float, EventType, dict[str, object]]]:
    """The first event of every history."""
    return [(0.04, EventType.EXECUTION_STARTED, {"name": "order_flow"})]


def completed(at: datetime, instance_id: str, name: str = "refund") -> Instance:
    """An instance that ended well after two activities."""
    end = at + timedelta(seconds=9.2)
    instance = add(
        at, instance_id, name, status="Completed", completed_at=end, last_updated_at=end, output='"refunded 41.00 EUR"'
    )
    tell(
        instance,
        *begun(at),
        *ran(1, "check_claim", 0.05, 0.4, 2.1, at),
        *ran(2, "pay_back", 2.2, 0.1, 9.1, at),
        (9.2, EventType.EXECUTION_COMPLETED, {"attributes": {"status": "Completed"}, "payload": "refunded 41.00 EUR"}),
    )
    return instance


def failed(at: datetime, instance_id: str) -> Instance:
    """An instance that failed at its second activity, and was rewound in vain before."""
    end = at + timedelta(seconds=3.4)
    instance = add(
        at,
        instance_id,
        "claim_flow",
        status="Failed",
        completed_at=end,
        last_updated_at=end,
        failure=json.dumps(FAILURE),
        error="ValueError: amount must be positive",
        error_fingerprint=FailureDetails.from_json(FAILURE).fingerprint,
        blocked_at="orders/flows.py:48 in claim_flow",
        blocked_code="receipt = yield context.call_activity(charge_card, order)",
    )
    tell(
        instance,
        *begun(at),
        *ran(1, "load_claim", 0.05, 0.1, 1.2, at),
        (1.3, EventType.TASK_SCHEDULED, {"task_id": 3, "name": "charge_card"}),
        (3.3, EventType.TASK_FAILED, {"task_id": 3, "name": "charge_card", "payload": FAILURE["innerFailure"]}),
        (3.4, EventType.EXECUTION_COMPLETED, {"attributes": {"status": "Failed"}, "payload": FAILURE}),
    )
    act(instance, "rewind", "admin", "card limit was raised")
    return instance


def suspended(at: datetime, instance_id: str) -> Instance:
    """An instance that dana suspended while it waited for an event."""
    since = (at + timedelta(seconds=12)).isoformat()
    instance = add(
        at,
        instance_id,
        "onboard",
        status="Suspended",
        waiting_for="suspended by dana: vendor outage",
        waits=json.dumps([{"kind": "ExternalEvent", "name": "contract_signed", "task_id": 2, "since": since}]),
        blocked_at="onboarding/orchestrations.py:31 in onboard",
        blocked_code='signed = yield context.wait_for_external_event("contract_signed")',
    )
    tell(
        instance,
        *begun(at),
        *ran(1, "create_account", 0.1, 0.3, 11.4, at),
        (600, EventType.EXECUTION_SUSPENDED, {"attributes": {"by": "dana", "reason": "vendor outage"}}),
    )
    OpenWait.objects.create(
        hub=HUB, instance=instance, execution=1, wait_id=2, name="contract_signed", since=at + timedelta(seconds=12)
    )
    act(instance, "suspend", "dana", "vendor outage")
    return instance


def terminated(at: datetime, instance_id: str) -> Instance:
    """An instance that was ended by hand."""
    end = at + timedelta(minutes=4, seconds=2)
    instance = add(
        at,
        instance_id,
        "nightly_etl",
        status="Terminated",
        completed_at=end,
        last_updated_at=end,
        output='"duplicate run"',
    )
    tell(
        instance,
        *begun(at),
        (0.2, EventType.TASK_SCHEDULED, {"task_id": 1, "name": "extract"}),
        (242, EventType.EXECUTION_TERMINATED, {"attributes": {"by": "admin", "reason": "duplicate run"}}),
    )
    act(instance, "terminate", "admin", "duplicate run")
    return instance


def pending(at: datetime, instance_id: str) -> Instance:
    """An instance that starts in forty minutes."""
    start = at + timedelta(minutes=43)
    return add(
        at,
        instance_id,
        status="Pending",
        started_at=None,
        last_updated_at=at,
        scheduled_start_at=start,
        claimable_at=start,
    )


def retrying(at: datetime, instance_id: str) -> Instance:
    """An instance between the second and the third attempt of an activity, and about to be terminated."""
    due = timezone.now() + timedelta(seconds=90)
    instance = add(
        at,
        instance_id,
        forked_from="ord-7F3A-0001",
        forked_step=3,
        waiting_for=f"activity charge_card, attempt 3 of 5, next try {due.isoformat()}",
        waits=json.dumps(
            [
                {
                    "kind": "Activity",
                    "name": "charge_card",
                    "task_id": 2,
                    "since": (at + timedelta(minutes=20)).isoformat(),
                    "due_at": due.isoformat(),
                    "attempt": 3,
                    "max_attempts": 5,
                }
            ]
        ),
        blocked_at="orders/orchestrations.py:48 in order_flow",
        blocked_code="receipt = yield context.call_activity(charge_card, order, retry=RETRY)",
        custom_status='{"step": "payment", "total": "1840.00"}',
        tags={"tenant": "acme"},
    )
    failure = FAILURE["innerFailure"]
    tell(
        instance,
        *begun(at),
        *ran(1, "reserve_stock", 0.1, 0.2, 41, at),
        (42, EventType.TASK_SCHEDULED, {"task_id": 2, "name": "charge_card"}),
        (160, EventType.TASK_FAILED, {"task_id": 2, "name": "charge_card", "payload": failure}),
        (160, EventType.TIMER_CREATED, {"task_id": 2, "attempt": 1}),
        (600, EventType.TIMER_FIRED, {"task_id": 2, "attempt": 1}),
        (600, EventType.TASK_SCHEDULED, {"task_id": 2, "name": "charge_card", "attempt": 2}),
        (820, EventType.TASK_FAILED, {"task_id": 2, "name": "charge_card", "attempt": 2, "payload": failure}),
        (820, EventType.TIMER_CREATED, {"task_id": 2, "attempt": 2, "attributes": {"fire_at": due.isoformat()}}),
    )
    InboxMessage.objects.create(
        hub=HUB,
        instance=instance,
        type=EventType.EXECUTION_TERMINATED.value,
        attributes=json.dumps({"by": "admin", "reason": "card is stolen"}),
    )
    return instance


def fan_out(at: datetime, instance_id: str) -> Instance:
    """A parent with a hundred activities and three children, one of which still runs."""
    since = (at + timedelta(seconds=31)).isoformat()
    child_id = f"{instance_id}:3"
    instance = add(
        at,
        instance_id,
        "settle_batch",
        waiting_for="event bank_holiday and 3 more",
        waits=json.dumps(
            [
                {
                    "kind": "SubOrchestration",
                    "name": "settle_region",
                    "task_id": 103,
                    "since": since,
                    "instance_id": child_id,
                },
                {"kind": "Activity", "name": "collect", "task_id": 104, "since": since, "attempt": 1},
                {
                    "kind": "Timer",
                    "name": None,
                    "task_id": 105,
                    "since": since,
                    "due_at": (at + timedelta(hours=1)).isoformat(),
                },
                {"kind": "ExternalEvent", "name": "bank_holiday", "task_id": 106, "since": since},
            ]
        ),
        blocked_at="settlement/orchestrations.py:77 in settle_batch",
        blocked_code="first = yield context.task_any([regions, deadline, holiday])",
    )
    events = begun(at)
    for number in range(1, 101):
        events.append((0.1, EventType.TASK_SCHEDULED, {"task_id": number, "name": "charge_card"}))
    for number in range(1, 101):
        kind = EventType.TASK_FAILED if number % 33 == 0 else EventType.TASK_COMPLETED
        events.append((1 + number / 4, kind, {"task_id": number, "name": "charge_card"}))
    for number in (101, 102, 103):
        told = {"instance_id": f"{instance_id}:{number - 100}", "fire_and_forget": False}
        events.append(
            (31, EventType.SUB_ORCHESTRATION_CREATED, {"task_id": number, "name": "settle_region", "attributes": told})
        )
    events.append((31, EventType.TASK_SCHEDULED, {"task_id": 104, "name": "collect"}))
    events.append((31, EventType.TIMER_CREATED, {"task_id": 105, "attempt": 0}))
    for number in (101, 102):
        events.append(
            (40 + number % 10, EventType.SUB_ORCHESTRATION_COMPLETED, {"task_id": number, "name": "settle_region"})
        )
    events.append((50, EventType.EVENT_RAISED, {"name": "note"}))
    tell(instance, *events)
    OpenWait.objects.create(hub=HUB, instance=instance, execution=1, wait_id=106, name="bank_holiday", since=at)
    for number in (1, 2, 3):
        child_at = at + timedelta(seconds=31)
        ended = {"status": "Completed", "completed_at": child_at + timedelta(seconds=10)} if number < 3 else {}
        add(child_at, f"{instance_id}:{number}", "settle_region", parent=instance, parent_execution=1, **ended)
    return instance


def waiting(at: datetime, instance_id: str) -> Instance:
    """An instance that asks the finance approvers."""
    since, due = at + timedelta(seconds=16), timezone.now() + timedelta(hours=1, minutes=12)
    title = f"Approve order {instance_id} for 1,840.00 EUR"
    wait = {
        "kind": "ExternalEvent",
        "name": "manager_approval",
        "task_id": 4,
        "since": since.isoformat(),
        "due_at": due.isoformat(),
        "title": title,
    }
    instance = add(
        at,
        instance_id,
        waiting_for=f"{title} and 1 more",
        waits=json.dumps(
            [
                wait,
                {
                    "kind": "Timer",
                    "name": "reminder",
                    "task_id": 5,
                    "since": since.isoformat(),
                    "due_at": due.isoformat(),
                },
            ]
        ),
        blocked_at="orders/orchestrations.py:52 in approval",
        blocked_code='answer = yield context.wait_for_external_event("manager_approval", title=title)',
        blocked_stack=json.dumps(
            [
                ("orders/orchestrations.py:31 in order_flow", "answer = yield from approval(context, order)"),
                (
                    "orders/orchestrations.py:52 in approval",
                    'answer = yield context.wait_for_external_event("manager_approval", title=title)',
                ),
            ]
        ),
        custom_status='{"step": "approval", "total": "1840.00"}',
    )
    tell(
        instance,
        *begun(at),
        *ran(1, "validate_order", 0.2, 0.2, 1.5, at),
        *ran(2, "reserve_stock", 1.6, 0.3, 5.4, at),
        *ran(3, "charge_card", 5.5, 0.8, 14.6, at),
        (15.9, EventType.TIMER_CREATED, {"task_id": 5, "attempt": 0, "name": "reminder"}),
    )
    ask(
        instance,
        title,
        form=Approval,
        name="manager_approval",
        asked_ago=timezone.now() - since,
        due_in=timedelta(hours=1, minutes=12),
        groups=("Finance approvers",),
    )
    return instance


def workers(now: datetime) -> list[WorkerLease]:
    """Two live workers with the code of the scenes, and one that died."""
    names = ("order_flow", "claim_flow", "onboard", "nightly_etl", "refund", "settle_batch", "settle_region", "watch")
    functions = {
        "orchestrators": list(names),
        "activities": ["charge_card", "collect", "check_stock"],
        "entities": ["account"],
        "versions": {name: [""] for name in names},
    }
    return [
        WorkerLease.objects.create(
            hub=HUB,
            worker=f"web-{number + 1}:471{number}",
            host=f"web-{number + 1}",
            pid=4710 + number,
            heartbeat_at=now + timedelta(seconds=min(seconds, 0)),
            expires_at=now + timedelta(seconds=seconds),
            in_flight=2,
            capacity=16,
            functions=json.dumps(functions),
        )
        for number, seconds in enumerate((3_600, 3_600, -40))
    ]


def loop(at: datetime, instance_id: str, lease: WorkerLease) -> Instance:
    """An instance in its third execution that speaks with others, and runs an activity that tells of its progress."""
    began = at + timedelta(seconds=61)
    instance = add(
        at,
        instance_id,
        "watch",
        execution=3,
        waiting_for="activity check_stock",
        waits=json.dumps([{"kind": "Activity", "name": "check_stock", "task_id": 9, "since": began.isoformat()}]),
        blocked_at="stock/orchestrations.py:19 in watch",
        blocked_code="level = yield context.call_activity(check_stock, article)",
        input=json.dumps({"article": "A-7", "supplier": {"url": "https://example.com", "apiKey": "s3cr3t"}}),
        output=None,
    )
    account = {"instance_id": "@account@A-7"}
    tell(
        instance,
        *begun(at),
        (0.1, EventType.PATCH_APPLIED, {"name": "ask-supplier-first"}),
        (0.1, EventType.ENTITY_CALLED, {"task_id": 1, "name": "reserve", "attributes": account}),
        (0.9, EventType.ENTITY_COMPLETED, {"task_id": 1, "name": "reserve"}),
        (1.0, EventType.ENTITY_SIGNALED, {"task_id": 2, "name": "note", "attributes": account}),
        (1.0, EventType.EVENT_SENT, {"task_id": 3, "name": "low_stock", "attributes": {"instance_id": "ob-552"}}),
        (1.0, EventType.TIMER_CREATED, {"task_id": 4, "attempt": 0}),
        (31, EventType.EXECUTION_SUSPENDED, {"attributes": {"by": "dana", "reason": "stocktaking"}}),
        (52, EventType.EXECUTION_RESUMED, {"attributes": {"by": "dana"}}),
        (60, EventType.TIMER_FIRED, {"task_id": 4}),
        (60.5, EventType.EVENT_RAISED, {"name": "recount", "attributes": {"by": "admin"}}),
        (61, EventType.TASK_SCHEDULED, {"task_id": 9, "name": "check_stock"}),
    )
    HistoryEvent.objects.create(
        instance=instance, execution=2, sequence=1, type=EventType.EXECUTION_STARTED.value, timestamp=at, name="watch"
    )
    ActivityWorkItem.objects.create(
        hub=HUB,
        instance=instance,
        execution=3,
        task_id=9,
        sequence=instance.last_sequence,
        name="check_stock",
        timeout_seconds=3_600,
        scheduled_at=began,
        visible_at=began,
        started_at=began + timedelta(seconds=4),
        dispatches=1,
        lease_token=lease.token,
        heartbeat_at=timezone.now() - timedelta(seconds=2),
        heartbeat_details='{"shelves": 41, "of": 120}',
    )
    AuditEntry.objects.create(
        hub=HUB,
        instance_id=instance_id,
        action="restart",
        actor_name="dana",
        details={"restarted": "ref-88"},
        via="Dashboard",
    )
    return instance


def long(at: datetime, instance_id: str, events: int) -> Instance:
    """An instance with that many events: steps one after the other, now and then one that failed."""
    instance = add(at, instance_id, "nightly_etl", blocked_at="etl/orchestrations.py:9 in nightly_etl")
    HistoryEvent.objects.bulk_create(
        (
            HistoryEvent(
                instance=instance,
                execution=1,
                sequence=number + 1,
                type=(EventType.TASK_COMPLETED if number % 2 else EventType.TASK_SCHEDULED).value,
                timestamp=at + timedelta(seconds=number * 100_000 / events),
                task_id=number // 2,
                name=f"load_{number // 2 % 7}",
            )
            for number in range(events)
        ),
        batch_size=2_000,
    )
    instance.last_sequence = events
    instance.save()
    return instance


def purged(instance_id: str) -> None:
    """What is left of an instance that was deleted."""
    for action, reason in (("terminate", "never paid"), ("purge", "the customer asked us to forget it")):
        AuditEntry.objects.create(
            hub=HUB, instance_id=instance_id, action=action, actor_name="dana", reason=reason, via="Dashboard"
        )


def act(instance: Instance, action: str, who: str, reason: str) -> None:
    """An audit row."""
    AuditEntry.objects.create(
        hub=HUB,
        instance_id=instance.instance_id,
        action=action,
        actor_name=who,
        reason=reason,
        via="Dashboard",
        address="192.0.2.7",
    )


def more() -> None:
    """What only the pages with pictures of their own show: entities, bulk jobs, a saved view, more questions."""
    now = timezone.now()
    entity = rows.entity(
        "@account@A-7",
        json.dumps({"balance": "41.00", "reserved": []}),
        locked_by="mon-31",
        backlog=1,
        callers=encode_callers(
            [
                Caller(now.isoformat(), "ada", "reserve", is_call=False, is_instance=False),
                Caller(now.isoformat(), "mon-31", "withdraw", is_call=True, is_instance=True),
            ]
        ),
    )
    InboxMessage.objects.create(
        hub=HUB, instance=entity.instance, type=EventType.ENTITY_SIGNALED.value, name="note", created_at=now,
        visible_at=now,
    )  # fmt: skip
    rows.entity("@account@B-2", None)
    admin = User.objects.get(username="admin")
    SavedView.objects.create(hub=HUB, name="Failed today", query="status:failed created:-24h", owner=admin)
    chosen = Selection(InstanceFilter(statuses=(RuntimeStatus.RUNNING,), name="order_flow", created_to=now)).to_json()
    for state, done, columns in (
        ("Running", 700, {}),
        ("Completed", 1_097, {"skipped": 140, "failed": 3, "ended_at": now}),
        ("Stopped", 500, {"stopped_by": "dana", "ended_at": now}),
        ("Failed", 0, {"error": "The filter can't be read any more.", "ended_at": now}),
    ):
        job = BulkJob.objects.create(
            hub=HUB, action="terminate", selection=chosen, reason="the batch was started twice", state=state,
            parameters={"recursive": True}, total=1_240, done=done, created_by=admin, creator_name="admin",
            via="Dashboard", started_at=now - timedelta(seconds=40), **columns,
        )  # fmt: skip
        BulkProblem.objects.bulk_create(
            BulkProblem(job=job, instance_id=f"ref-{number}", outcome=outcome, why=why)
            for outcome, why in (("skipped", "It is Completed."), ("failed", "The database refused it."))
            for number in range(columns.get(outcome, 0))
        )
    refund = ask("rf-20", "Refund 410.00 EUR to Acme GmbH", form=Refund, name="refund", quorum_approve=2, approvals=1)
    vote(refund, "dana", "approve", "Checked with the shop.")
    say(refund, "dana", "Please look at the second line.")
    late = ask("rf-21", "Raise the limit of Acme GmbH", name="limit", due_in=timedelta(minutes=-20))
    vote(late, "dana", "approve")
    done = closed(
        "Pay the invoice 2026-11", "rf-22", "answered", timedelta(hours=3), name="invoice", answered_by="dana",
        outcome="reject",
    )  # fmt: skip
    vote(done, "dana", "reject", "Paid twice already.")
    own = closed(
        "Let the admin go to the fair", "rf-23", "answered", timedelta(hours=2), name="fair", exclude=("admin",),
        answered_by="dana", outcome="approve", approvals=1,
    )  # fmt: skip
    vote(own, "dana", "approve", "Have fun.")
    closed(
        "Buy a second screen", "rf-24", "expired", timedelta(minutes=50), name="screen", exclude=("admin",),
        on_timeout='{"decision": "reject"}',
    )  # fmt: skip
    DeadLetter.objects.create(
        hub=HUB, kind="activity", instance_pk=1, instance_id="etl-2026-01-04", execution=1, position=7,
        name="load_part", deaths=3, error="Each worker that took it up died.",
    )  # fmt: skip
    OutgoingWebhook.objects.create(
        name="Accounting", url="https://books.example/hooks", failing_since=now - timedelta(hours=2)
    )
    ask("rf-25", "Order a chair for the admin", name="chair", exclude=("admin",), due_in=timedelta(hours=5))
