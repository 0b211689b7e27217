"""The sentence at the top of an instance's page: why it stands where it does, in every case."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from orchestrations.core.events import EventType
from orchestrations.core.http_messages import HTTP_ACTIVITY
from orchestrations.models import Entity, Instance, OpenWait
from tests import rows

TRACE = 'Traceback\n  File "/srv/orders/flows.py", line 48, in order_flow\n    charge()\n'


@pytest.fixture
def why(viewer):
    """``why("one")`` is the box at the top of that instance's page, as text."""

    def why(instance_id: str = "one") -> str:
        response = viewer.get(reverse("dashboard:instance", args=["default", instance_id]))
        box = re.search(r'<div class="why.*?</div>', response.text, re.DOTALL)[0]
        return " ".join(re.sub(r"<[^>]+>", " ", box).split()).replace("&#x27;", "'")

    return why


def awaiting(**wait: object) -> Instance:
    """An instance that waits for one thing."""
    return rows.instance("one", waits=json.dumps([{"kind": "Activity", "name": "charge", "task_id": 1} | wait]))


# Activities


def test_a_running_activity_is_told_with_its_worker_and_its_heartbeat(why):
    lease = rows.worker("web-1:4711")
    now = timezone.now()
    rows.work_item(
        awaiting(attempt=2, max_attempts=5),
        1,
        lease_token=lease.token,
        started_at=now - timedelta(seconds=30),
        heartbeat_at=now - timedelta(seconds=4),
        heartbeat_details='{"done": 40}',
        timeout_seconds=90,
    )

    text = why()

    assert re.search(r"The activity charge has been running for 3\d s on web-1:4711, attempt 2 of 5\.", text)
    assert re.search(r"Its last heartbeat, \d s ago, said {&quot;done&quot;: 40}\.", text)
    assert re.search(r"It times out in (1 m|5\d s)", text)


def test_secrets_in_a_heartbeat_are_hidden(why):
    lease = rows.worker()
    details = {"heartbeat_at": timezone.now(), "heartbeat_details": '{"access_token": "s3cr3t"}'}
    rows.work_item(awaiting(), 1, lease_token=lease.token, started_at=rows.NOON, **details)

    assert "s3cr3t" not in why()


def test_an_activity_whose_worker_died_says_so(why):
    lease = rows.worker("web-3:4713", seconds=-40)
    rows.worker("web-1:4711")
    rows.work_item(awaiting(), 1, lease_token=lease.token, started_at=timezone.now(), dispatches=3)

    text = why()

    assert "The activity charge was running on web-3:4713, which gave its last sign of life at" in text
    assert "Another worker takes it over" in text
    assert "It has been begun 3 times, because workers died meanwhile; it fails after 10." in text


@pytest.mark.parametrize(
    ("workers", "reason"),
    [
        ([], "no worker is running."),
        ([{"functions": {"activities": ["refund"], "versions": {"echo": [""]}}}], "no live worker has its code"),
        ([{"in_flight": 16}, {"in_flight": 16}], "all 32 places of the live workers are taken."),
        ([{"in_flight": 16}, {"in_flight": 3}], "a worker takes it next."),
    ],
)
def test_a_queued_activity_says_what_it_waits_for(why, workers, reason):
    for number, columns in enumerate(workers):
        rows.worker(f"web-{number}:1", **columns)
    rows.work_item(awaiting(), 1)

    assert re.search(rf"The activity charge has been queued for 1 m\b.*: {re.escape(reason[:-1])}", why())


def test_an_activity_that_is_completed_from_outside_says_until_when(why):
    rows.worker()
    rows.work_item(awaiting(), 1, deferred_until=timezone.now() + timedelta(hours=2))

    assert "The activity charge has returned and waits for its completion from outside until" in why()


def test_a_retry_says_what_it_failed_with(why):
    instance = awaiting(due_at=(timezone.now() + timedelta(minutes=5)).isoformat(), attempt=3, max_attempts=5)
    failure = json.dumps({"errorType": "ValueError", "errorMessage": "no", "stackTrace": TRACE})
    rows.history(instance, (EventType.TASK_FAILED, {"task_id": 1, "name": "charge", "payload": failure}))

    assert "charge failed and is tried again in" in why()
    assert "It failed at srv/orders/flows.py:48 in order_flow with ValueError: no." in why()


# HTTP


def test_an_http_call_is_called_one(why):
    rows.worker(functions={"activities": [HTTP_ACTIVITY], "versions": {"echo": [""]}})
    rows.work_item(awaiting(name="GET https://example.com"), 1, HTTP_ACTIVITY)

    assert "The HTTP call GET https://example.com has been queued for" in why()


def test_the_wait_between_two_polls_says_so(why):
    due = timezone.now() + timedelta(seconds=30)
    awaiting(kind="Timer", name="before GET https://example.com", due_at=due.isoformat())

    assert re.search(r"GET https://example\.com has not answered for good yet and is polled again in \d+ s\.", why())


# Others


def test_a_child_is_linked_with_its_own_reason(why, viewer):
    rows.instance("kid", name="region", waiting_for="activity charge", blocked_at="regions.py:7 in region")
    awaiting(kind="SubOrchestration", name="region", instance_id="kid")

    assert "Waiting for the sub-orchestration region. kid" in why()
    assert "That one is Running: activity charge, at regions.py:7 in region." in why()
    assert 'href="/hubs/default/i/kid/"' in viewer.get("/hubs/default/i/one/").text


def test_a_child_that_was_purged_breaks_nothing(why):
    awaiting(kind="SubOrchestration", name="region", instance_id="kid")

    assert "Waiting for the sub-orchestration region. kid" in why()


def test_a_lock_names_its_holder(why):
    rows.entity("@account@a")
    rows.entity("@account@b", locked_by="order-7", backlog=4)
    awaiting(kind="EntityLock", name="@account@a, @account@b")

    assert "Waiting for the lock of @account@a, @account@b." in why()
    assert "order-7 holds the lock of @account@b." in why()


def test_an_operation_on_a_locked_entity_says_so(why):
    rows.entity("@account@a", locked_by="order-7", backlog=4)
    awaiting(kind="EntityOperation", name="deposit of @account@a", instance_id="@account@a")

    assert "@account@a is locked by order-7; 4 messages wait for the lock." in why()


def test_an_operation_without_code_says_so(why):
    rows.worker(functions={"entities": [], "versions": {"echo": [""]}})
    rows.entity("@account@a")
    awaiting(kind="EntityOperation", name="deposit of @account@a", instance_id="@account@a")

    assert Entity.objects.exists()
    assert "No live worker has the code of the entity account." in why()


@pytest.mark.parametrize(
    ("request_", "whom"),
    [
        ({"groups": ["Finance", "Board"]}, "Finance or Board"),
        ({"users": ["dana"]}, "dana"),
        ({"permission": "orders.approve"}, "somebody with the permission orders.approve"),
        ({}, "a person"),
    ],
)
def test_a_question_names_whom_it_asks(why, request_, whom):
    instance = awaiting(kind="ExternalEvent", name="decision", title="Pay?")
    OpenWait.objects.filter(pk=rows.wait(instance, title="Pay?", request=request_).pk).update(wait_id=1)

    assert f"Waiting for {whom}: Pay?" in why()


# Code and workers


def test_an_instance_without_any_worker_says_how_to_start_one(why):
    rows.worker(seconds=-40)
    rows.instance("one", status="Pending", claimable_at=timezone.now() - timedelta(minutes=3))

    text = why()

    assert re.search(r"Ready for 3 m( \d+ s)?\. No worker of the task hub is running \(1 gave no sign of life", text)
    assert "manage.py up" in text


def test_an_instance_whose_code_no_worker_has_says_so(why):
    rows.worker("a:1", functions={"versions": {"other": [""]}})
    rows.worker("b:1", functions={"versions": {"other": [""]}})
    rows.instance("one", status="Pending", claimable_at=timezone.now())

    assert "None of the 2 live workers has the code of the orchestrator echo. Deploy its app to a worker." in why()


def test_an_instance_of_an_unknown_version_says_which_are_deployed(why, viewer):
    rows.worker(functions={"versions": {"echo": ["1.0", "1.1"]}})
    rows.instance("one", status="Pending", version="2.0", claimable_at=timezone.now())

    assert "does not have code for version 2.0 of echo; deployed: 1.0, 1.1." in why()
    assert "deployed: 1.0, 1.1" in viewer.get("/hubs/default/i/one/").text


def test_what_a_waiting_instance_will_lack_is_told_after_what_it_waits_for(why):
    rows.worker(functions={"versions": {}})
    awaiting(kind="Timer", name="pause", due_at=timezone.now().isoformat())

    assert re.match(r"Waiting for the timer pause.*The one live worker does not have the code", why())


def test_nonsense_from_a_worker_breaks_no_page(why):
    rows.worker(functions={"versions": ["?"], "activities": 7})
    rows.work_item(awaiting(), 1)

    assert "no live worker has its code" in why()


def test_an_instance_that_is_being_advanced_names_the_worker(why):
    rows.instance("one", lease_token=rows.worker("web-1:4711").token)

    assert "The worker web-1:4711 is advancing it now." in why()


def test_an_instance_whose_worker_died_says_so(why):
    rows.instance("one", lease_token=rows.worker("web-3:1", seconds=-40).token)
    rows.worker()

    assert "Its worker web-3:1 gave its last sign of life at" in why()


# Ends


def test_a_failure_names_the_innermost_error_of_the_authors_code(why):
    library = '  File "/venv/lib/python3.12/site-packages/gateway.py", line 3, in post\n'
    failure = {
        "errorType": "orchestrations.TaskFailedError",
        "errorMessage": "Activity charge failed",
        "stackTrace": TRACE,
        "innerFailure": {
            "errorType": "shop.Declined",
            "errorMessage": "card 7\nmore",
            "stackTrace": TRACE.replace("order_flow", "charge"),
            "innerFailure": {"errorType": "OSError", "errorMessage": "reset", "stackTrace": library},
        },
    }
    rows.instance("one", status="Failed", failure=json.dumps(failure), error="TaskFailedError: …")

    assert why().startswith("Failed at srv/orders/flows.py:48 in charge with Declined: card 7.")


@pytest.mark.parametrize("failure", [None, "{", '{"errorType": 7, "stackTrace": ["?"]}', "blob:v1:9:gone.json.gz"])
def test_a_failure_that_can_not_be_read_breaks_no_page(why, failure):
    rows.instance("one", status="Failed", failure=failure, error="ValueError: no")

    assert why().startswith("Failed with ")
