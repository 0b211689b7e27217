"""The workers page: who lives, what each holds and has the code of, and what waits for them."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrations.models import LostWorker, Timer, WorkerLease
from orchestrations.runtime.live_workers import described_functions
from tests import rows
from tests.reading_statements import reads

WORKERS = "/hubs/default/workers/"


def lease(worker: str, **columns: object) -> WorkerLease:
    now = timezone.now()
    defaults: dict[str, object] = {"expires_at": now + timedelta(seconds=15), "capacity": 16, "host": "web", "pid": 7}
    return WorkerLease.objects.create(hub="default", worker=worker, **(defaults | columns))


def words(text: str) -> str:
    """The page's text without its tags, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_a_worker_tells_what_it_has_in_hand_and_the_code_it_runs(viewer):
    told = {"versions": {"order": ["1.0", "2.0"]}, "activities": ["charge"], "entities": ["stock"]}
    token = lease("web-1:17", in_flight=3, functions=json.dumps(told), build="v2-4c20cbe").token
    rows.instance(lease_token=token)

    text = words(viewer.get(WORKERS).text)

    assert "3 of 16 activity slots in use" in text
    assert "Live web-1:17" in text
    assert "3 of 16 1 1 orchestrator, 1 activity, v2-4c20cbe" in text
    assert "Build v2-4c20cbe Orchestrators order 1.0 2.0 Activities charge Entities stock" in text


def test_what_the_engine_tells_of_its_code_can_be_read(viewer):
    lease("web-1:17", functions=described_functions())

    assert "Live web-1:17" in words(viewer.get(WORKERS).text)


@pytest.mark.parametrize("told", ["", "no json", "[]", '{"versions": 3}', '{"versions": {"order": 3}}'])
def test_a_worker_whose_code_can_not_be_read_is_shown_all_the_same(viewer, told):
    lease("web-1:17", functions=told)

    text = words(viewer.get(WORKERS).text)

    assert "0 orchestrators, 0 activities" in text


def test_a_dead_worker_says_so(viewer):
    lease("web-1:17", expires_at=timezone.now() - timedelta(seconds=1))

    text = words(viewer.get(WORKERS).text)

    assert "Dead web-1:17" in text
    assert "No worker is running" in text


def test_a_worker_that_was_found_dead_is_remembered_for_a_day(viewer):
    now = timezone.now()
    for worker, hours in (("web-1:17", 2), ("web-2:4", 25)):
        at = now - timedelta(hours=hours)
        LostWorker.objects.create(hub="default", worker=worker, started_at=at, heartbeat_at=at, lost_at=at, in_flight=3)

    text = words(viewer.get(WORKERS).text)

    assert "Dead web-1:17" in text
    assert "web-2:4" not in text


def test_where_none_runs_the_page_tells_how_to_start_one(viewer):
    assert "python manage.py qcluster" in viewer.get(WORKERS).text


def test_queues_tell_their_depth_and_how_long_the_oldest_has_waited(viewer):
    now = timezone.now()
    for minutes in (1, 7):
        Timer.objects.create(
            hub="default", instance=rows.instance(), execution=1, task_id=1, due_at=now - timedelta(minutes=minutes)
        )
    rows.instance(status="Pending", claimable_at=now + timedelta(hours=1))

    text = words(viewer.get(WORKERS).text)

    assert re.search(r"Instances to begin 0 — Messages 0 — Activities 0 — Timers due 2 00:07:0\d", text)


@pytest.mark.parametrize("count", [1, 20])
def test_it_costs_the_same_queries_for_one_worker_and_for_twenty(viewer, django_assert_max_num_queries, count):
    for number in range(count):
        lease(f"web-{number}:1")

    with django_assert_max_num_queries(30) as queries:
        viewer.get(WORKERS)

    assert len(reads(queries)) == 14
