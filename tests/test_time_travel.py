"""Time that a test lets pass: the database's clock runs ahead, and what is due happens when it is due."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection

from orchestrations import EntityId, OrchestrationClient, RetryPolicy, Reviewers, activity, entity, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.models import HistoryEvent, Instance
from orchestrations.models.clock import Now
from orchestrations.testing import InProcessWorker

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def own_functions() -> Iterator[None]:
    with registry.preserved():
        yield


@pytest.fixture
def client(transactional_db: None) -> OrchestrationClient:
    return OrchestrationClient()


@pytest.fixture
def worker(transactional_db: None) -> Iterator[InProcessWorker]:
    worker = InProcessWorker()
    yield worker
    worker.stop()


def database_now() -> datetime:
    with connection.cursor() as cursor:
        sql, parameters = Instance.objects.values_list(Now())[:1].query.sql_with_params()
        cursor.execute(sql.split(" FROM ")[0], parameters)
        [moment] = cursor.fetchone()
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def test_a_deadline_with_reminders_takes_three_days_and_no_time(client, worker):
    @orchestrator
    def asks(context):
        deadline = context.current_utc_datetime + 3 * DAY - HOUR
        answer = context.wait_for_external_event("answer")
        reminded = []
        while context.current_utc_datetime < deadline:
            timer = context.create_timer(min(context.current_utc_datetime + DAY, deadline))
            if (yield context.task_any([answer, timer])) is answer:
                return answer.result
            reminded.append(str(context.current_utc_datetime))
        return reminded

    instance_id = client.start_new(asks)
    worker.advance(2 * DAY + HOUR)
    assert client.get_status(instance_id).runtime_status == "Running"

    worker.advance(DAY)

    reminded = [datetime.fromisoformat(moment) for moment in client.get_status(instance_id).output]
    started = Instance.objects.get().created_at
    hours = [(moment - started) / HOUR for moment in reminded]
    assert hours == pytest.approx([24, 48, 71], abs=0.01), "each at its time, in order"


def test_a_poll_until_a_deadline_polls_as_often_as_it_would(client, worker):
    polls = []

    @activity
    def look() -> bool:
        polls.append(database_now())
        return False

    @orchestrator
    def polls_for_three_hours(context):
        deadline = context.current_utc_datetime + 3 * HOUR
        while context.current_utc_datetime < deadline:
            if (yield context.call_activity(look)):
                return True
            yield context.create_timer(HOUR)
        return False

    client.start_new(polls_for_three_hours, "order")
    worker.advance(3 * HOUR)

    assert client.get_status("order").output is False
    assert [round((moment - polls[0]) / HOUR, 2) for moment in polls] == [0, 1, 2]


def test_everything_that_waits_for_time_happens_in_due_order(client, worker):
    done = []

    @activity
    def note(what: str) -> None:
        done.append(what)
        if what == "retried" and done.count(what) < 2:
            raise RuntimeError(what)

    @entity
    def diary(context):
        done.append(context.operation_name)

    @orchestrator
    def starts(context, what):
        yield context.call_activity(note, what)

    @orchestrator
    def waits(context):
        context.signal_entity(EntityId("diary", "a"), "signal", None, context.current_utc_datetime + 4 * HOUR)
        timer = context.create_timer(5 * HOUR)
        retry = RetryPolicy(first_retry_interval=3 * HOUR, max_number_of_attempts=2)
        yield context.call_activity(note, "retried", retry=retry)
        yield timer
        yield context.call_activity(note, "timer")
        try:
            yield context.wait_for_external_event("never", timeout=2 * HOUR)
        except TimeoutError:
            yield context.call_activity(note, "timeout")

    client.start_new(waits, "order")
    client.start_new(starts, client_input="start", start_at=datetime.now(UTC) + 6 * HOUR)
    worker.advance(3 * HOUR - timedelta(minutes=1))
    assert done == ["retried"]

    worker.advance(DAY)

    assert done == ["retried", "retried", "signal", "timer", "start", "timeout"]


def test_the_clock_is_one_for_all_that_ask_the_database(client, worker):
    @orchestrator
    def clock(context):
        return str(context.current_utc_datetime)

    worker.advance(100 * DAY)
    client.start_new(clock, "order")
    worker.run_until_idle()

    ahead = datetime.now(UTC) + 100 * DAY
    row = Instance.objects.get()
    told = datetime.fromisoformat(client.get_status("order").output)
    assert all(abs(moment - ahead) < HOUR for moment in (row.created_at, row.completed_at, told, database_now()))
    assert row.created_at <= HistoryEvent.objects.earliest("sequence").timestamp

    worker.stop()

    assert abs(database_now() - datetime.now(UTC)) < HOUR
    client.start_new(clock, "later")
    assert abs(Instance.objects.get(instance_id="later").created_at - datetime.now(UTC)) < HOUR


def test_people_are_reminded_and_others_asked_besides_when_it_is_time(client, worker, settings):
    settings.DURABLE = {**settings.DURABLE, "SITE_URL": "https://shop.example"}
    for name in ("dana", "lea"):
        User.objects.create_user(name, email=f"{name}@shop.example")

    @orchestrator
    def asks(context):
        answer = yield context.wait_for_external_event(
            "approval",
            title="Pay 7 EUR?",
            assign=Reviewers(users=["dana"]),
            remind=[DAY, 3 * DAY],
            escalate=Reviewers(users=["lea"]),
            escalate_after=2 * DAY,
            due=4 * DAY,
            on_timeout={"approved": False},
            notify=["inbox", "email"],
        )
        return answer.outcome

    client.start_new(asks, "order")
    told = []
    for _ in range(5):
        told.append([message.to[0].partition("@")[0] for message in mail.outbox])
        mail.outbox.clear()
        worker.advance(DAY - timedelta(minutes=1))

    assert [sorted(names) for names in told] == [[], ["dana"], ["dana"], ["lea"], ["dana", "lea"]]
    assert client.get_status("order").output == "reject"


def test_it_says_what_is_too_long(client, worker):
    @orchestrator
    def busy(context):
        yield context.create_timer(timedelta(minutes=1))
        context.continue_as_new()

    client.start_new(busy, "order")

    with pytest.raises(AssertionError, match=r"days.* are left after 0.5 seconds. 'order' is Running"):
        worker.advance(DAY * 1000, timeout_seconds=0.5)
    with pytest.raises(ValueError, match="taken back"):
        worker.advance(-1)
