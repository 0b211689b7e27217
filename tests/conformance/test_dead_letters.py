"""Dead letters: work that kills its workers is given up, kept, and put back once the code is mended (F79)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from orchestrations.client.dead_letters import put_back
from orchestrations.errors import DeadLetterSettled, InvalidTransition
from orchestrations.models import ActivityWorkItem, AuditEntry, DeadLetter, Instance, WorkerLease
from orchestrations.store import get_store
from tests.conformance import entity_functions
from tests.interfaces.dashboard.test_admin import staff
from tests.runtime import functions
from tests.runtime.conftest import drain_until_inside

__all__ = ["drain_until_inside"]

LIST = "/admin/orchestrations/deadletter/"


@pytest.fixture
def kill(worker):
    """Makes it look as if workers had died of the instances often enough."""

    def kill(deaths: int | None = None) -> None:
        Instance.objects.update(attempts=worker.runtime.config.dispatch_attempts if deaths is None else deaths)

    return kill


@pytest.fixture
def dead_orchestrator(client, worker, kill) -> DeadLetter:
    client.start_new(functions.chain, "order", 1)
    kill()
    worker.run_until_idle()
    return DeadLetter.objects.get()


@pytest.fixture
def dead_activity(client, make_worker, stage, drain_until_inside):
    """An activity of an orchestrator that fails of it, or of one that catches the failure and waits."""

    def make(orchestrator: object = functions.calls, value: object = ("gated", 1)) -> DeadLetter:
        first, second = make_worker(), make_worker()
        client.start_new(orchestrator, "order", value)
        drain_until_inside(first)
        ActivityWorkItem.objects.update(dispatches=first.runtime.config.dispatch_attempts)
        WorkerLease.objects.all().delete()
        second.runtime.store.recover()
        ActivityWorkItem.objects.update(visible_at=F("scheduled_at") - timedelta(seconds=1))
        second.run_until_idle()
        return DeadLetter.objects.get()

    return make


@pytest.fixture
def dead_operation(client, worker, kill) -> DeadLetter:
    with entity_functions.registered():
        client.signal_entity("@counter@a", "add", 5)
        kill()
        client.signal_entity("@counter@a", "add", 1)
        worker.run_until_idle()
        yield DeadLetter.objects.get()


def test_an_orchestrator_that_is_given_up_is_kept_and_its_retry_goes_on(dead_orchestrator, client, worker):
    dead = dead_orchestrator
    assert (dead.kind, dead.name, dead.instance_id, dead.execution) == ("orchestrator", "chain", "order", 1)
    assert dead.deaths == worker.runtime.config.dispatch_attempts
    assert "Workers died" in dead.error
    assert client.get_status("order").runtime_status == "Failed"

    put_back(client, dead, "the worker has more memory now")

    assert worker.run_until_ended("order").output == [0]
    dead.refresh_from_db()
    assert dead.put_back_at is not None


def test_a_rewind_that_is_given_up_is_kept_too(dead_orchestrator, client, worker, kill):
    client.rewind("order", "mended")
    kill(1000)
    worker.run_until_idle()

    rewind = DeadLetter.objects.latest("pk")
    assert (rewind.kind, rewind.deaths) == ("rewind", 1000)
    put_back(client, rewind, "mended better")
    assert worker.run_until_ended("order").output == [0]


def test_an_activity_that_is_given_up_is_kept_and_its_retry_runs_it_again(dead_activity, client, worker, stage):
    dead = dead_activity()
    assert (dead.kind, dead.name, dead.position) == ("activity", "gated", 1)
    stage.gate.set()

    put_back(client, dead, "mended")

    assert worker.run_until_ended("order").output == 1
    assert stage.runs == {1: 2}


def test_an_operation_that_is_given_up_is_kept_with_its_input_and_others_are_done(dead_operation, client, worker):
    dead = dead_operation
    assert (dead.kind, dead.name, dead.instance_id, dead.payload) == ("operation", "add", "@counter@a", "5")
    assert client.read_entity_state("@counter@a").entity_state == 1

    put_back(client, dead, "mended")
    worker.run_until_idle()

    assert client.read_entity_state("@counter@a").entity_state == 6


def test_an_input_that_is_too_large_is_not_kept_and_that_is_told(client, worker, kill, monkeypatch):
    monkeypatch.setattr("orchestrations.runtime.entities.LARGE_PAYLOAD_BYTES", 3)
    with entity_functions.registered():
        client.signal_entity("@counter@a", "add", 12345)
        kill()
        worker.run_until_idle()

        with pytest.raises(DeadLetterSettled, match="too large"):
            put_back(client, DeadLetter.objects.get(), "mended")
    assert DeadLetter.objects.get().put_back_at is None


def test_a_dead_letter_is_put_back_once(dead_orchestrator, client):
    put_back(client, dead_orchestrator, "mended")

    with pytest.raises(DeadLetterSettled, match="already"):
        put_back(client, dead_orchestrator, "again")


def test_what_has_gone_on_since_is_not_put_back(dead_orchestrator, client, worker, stage):
    stage.failing.add(0)
    client.rewind("order", "mended")
    worker.run_until_idle()
    assert Instance.objects.get().status == "Failed"

    with pytest.raises(DeadLetterSettled, match="gone on"):
        put_back(client, dead_orchestrator, "mended")


def test_an_instance_that_has_handled_the_failure_is_left_alone(dead_activity, client, make_worker):
    from orchestrations import TaskFailedError, orchestrator

    @orchestrator
    def forgiving(context):
        try:
            yield context.call_activity("gated", 1)
        except TaskFailedError:
            yield context.wait_for_external_event("go")

    dead = dead_activity(forgiving, None)

    with pytest.raises(InvalidTransition):
        put_back(client, dead, "mended")
    assert DeadLetter.objects.get().put_back_at is None


def test_a_dead_letter_is_written_once_however_often_its_worker_dies(dead_orchestrator):
    from orchestrations.store.outbox_contract import NewDeadLetter

    dead = dead_orchestrator
    again = NewDeadLetter(dead.kind, dead.instance_pk, "order", dead.execution, dead.position, "chain", 99, "again")

    get_store().keep_dead_letters([again])

    assert DeadLetter.objects.get().deaths == dead.deaths


def test_what_is_given_up_but_not_committed_is_not_kept(client, worker, kill, monkeypatch):
    client.start_new(functions.chain, "order", 1)
    kill()
    tables = type(get_store().tables)
    fence = tables.fence
    monkeypatch.setattr(tables, "fence", lambda self, token, checkpoints: fence(self, -1, checkpoints))

    worker.runtime.turn()

    assert not DeadLetter.objects.exists()


def test_old_ones_are_forgotten(dead_orchestrator):
    assert get_store().forget_dead_letters(timedelta(days=1)) == 0
    assert get_store().forget_dead_letters(timedelta(seconds=-1)) == 1


# In the admin --------------------------------------------------------------------------------------------------------


def test_the_button_asks_why_and_puts_back(dead_orchestrator, admin_client, client, worker):
    form = {"action": "put_back", "_selected_action": [dead_orchestrator.pk]}

    asked = admin_client.post(LIST, form).text
    assert "Instances that failed are rewound" in asked
    assert "Say why" in admin_client.post(LIST, {**form, "confirmed": "1"}).text
    told = admin_client.post(LIST, {**form, "confirmed": "1", "reason": "mended"}, follow=True).text

    assert "Put back: 1." in told
    assert worker.run_until_ended("order").output == [0]
    entries = AuditEntry.objects.order_by("pk").values_list("action", "via", "reason")
    assert list(entries) == [("put_back", "Admin", "mended"), ("rewind", "Admin", "mended")]


def test_the_button_needs_the_right_to_what_it_does(dead_operation, dead_activity, client):
    form = {"action": "put_back", "_selected_action": [dead_operation.pk], "confirmed": "1", "reason": "mended"}

    def press(*permissions: str) -> Client:
        User.objects.all().delete()
        browser = staff("view_deadletter", *permissions)
        browser.post(LIST, form)
        return browser

    press()
    press("rewind_instance")
    assert DeadLetter.objects.get().put_back_at is None
    press("signal_entity")
    assert DeadLetter.objects.get().put_back_by == "clerk"
