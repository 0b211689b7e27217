"""Large payloads: files in the storage, which nobody notices except by their size."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orchestrations import (
    EntityContext,
    EntityId,
    OrchestrationClient,
    OrchestrationContext,
    PayloadRejected,
    RetryOptions,
    activity,
    entity,
    orchestrator,
    payload_files,
)
from orchestrations.errors import PayloadNotKept, PayloadUnavailable
from orchestrations.limits import LARGE_PAYLOAD_BYTES, PAYLOAD_BYTES
from orchestrations.models import HistoryEvent, InboxMessage, Instance, LargePayload
from orchestrations.payload_files import PREFIX, is_reference
from orchestrations.reading import queries
from orchestrations.store import get_store
from orchestrations.store.contract import RunsOn
from tests.runtime import functions

LIMIT = 1_000  # bytes; small, so that the tests are quick
LARGE = "é" * LIMIT


@pytest.fixture(autouse=True)
def durable(settings, durable):
    settings.DURABLE = {**settings.DURABLE, "LARGE_PAYLOAD_BYTES": LIMIT}


@pytest.fixture(autouse=True)
def files(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def kept(files: Path) -> set[str]:
    return {str(path.relative_to(files)) for path in files.rglob("*.gz")}


def recorded() -> set[str]:
    return set(LargePayload.objects.values_list("name", flat=True))


def columns() -> list[str]:
    """Every payload column's value as the database has it."""
    texts: list[str | None] = []
    for column in ("input", "output", "failure"):
        texts += Instance.objects.values_list(column, flat=True)
    texts += HistoryEvent.objects.values_list("payload", flat=True)
    texts += InboxMessage.objects.values_list("payload", flat=True)
    return [text for text in texts if text is not None]


def lose_files(files: Path) -> None:
    for path in files.rglob("*.gz"):
        path.unlink()


def test_inputs_results_and_outputs_are_what_they_were(run, client, files):
    status = run(functions.calls, ["work", LARGE, LARGE + "!"])

    assert status.input == ["work", LARGE, LARGE + "!"]
    assert status.output == LARGE + "!"
    assert all(len(text) < LIMIT for text in columns())
    assert kept(files) == recorded()
    assert len(kept(files)) > 0


def test_history_shows_them(run, client):
    instance_id = run(functions.calls, ["work", LARGE]).instance_id

    status = client.get_status(instance_id, show_history=True, show_history_output=True)

    completed = next(item for item in status.history if item["EventType"] == "TaskCompleted")
    assert (completed["Input"], completed["Result"]) == (LARGE, LARGE)


def test_a_list_of_history_opens_no_file_and_knows_the_size(run, files):
    status = run(functions.calls, ["work", LARGE])
    instance = queries.get_instance("default", status.instance_id)
    lose_files(files)

    events = queries.history(instance).events

    lengths = {event.type: (event.payload_preview, event.payload_length) for event in events}
    assert lengths["TaskCompleted"] == ("", len(json.dumps(LARGE, ensure_ascii=False).encode()))


def test_lists_of_instances_open_no_file(run, files):
    run(functions.calls, ["work", LARGE])
    lose_files(files)

    assert [row.status for row in queries.list_instances("default").items] == ["Completed"]


def test_the_limit_counts_bytes_and_what_has_just_as_many_stays_in_its_column(run, files):
    run(functions.calls, ["work", "x" * (LIMIT - 2)], "fits")  # and two quotes
    results = HistoryEvent.objects.filter(type="TaskCompleted")
    assert not is_reference(results.values_list("payload", flat=True).get())

    run(functions.calls, ["work", "é" * (LIMIT // 2)], "two more")
    assert is_reference(results.filter(instance__instance_id="two more").values_list("payload", flat=True).get())


def test_by_default_the_limit_is_256_kib(settings, run, files):
    settings.DURABLE = {key: value for key, value in settings.DURABLE.items() if key != "LARGE_PAYLOAD_BYTES"}

    run(functions.calls, ["work", "x" * (LARGE_PAYLOAD_BYTES - 100)])
    assert kept(files) == set()

    run(functions.calls, ["work", "x" * LARGE_PAYLOAD_BYTES])
    assert kept(files) == recorded() != set()
    assert all(path.stat().st_size < 2_000 for path in files.rglob("*.gz"))  # compressed


def test_events_are_delivered_whole_and_their_message_s_file_goes(client, worker, files):
    instance_id = client.start_new(functions.waits, None, 2)
    worker.run_until_idle()
    client.raise_event(instance_id, "go", LARGE)
    client.raise_event(instance_id, "go", LARGE)
    waiting = kept(files)
    assert len(waiting) == 2

    worker.run_until_idle()

    assert client.get_status(instance_id).output == [LARGE, LARGE]
    assert not kept(files) & waiting
    assert kept(files) == recorded()


def test_sub_orchestrations_take_and_return_them(run):
    assert run(functions.parent, ["calls", ["work", LARGE], "child"]).output == LARGE


def test_failures_are_read_from_their_files(run):
    @activity
    def breaks() -> None:
        raise ValueError(LARGE)

    status = run(functions.calls, ["breaks", None])

    assert status.failure_details.is_caused_by(ValueError)
    assert any(is_reference(text) for text in Instance.objects.values_list("failure", flat=True))


def test_continue_as_new_carries_the_input_on_and_deletes_what_went_before(client, worker, files):
    @orchestrator
    def grows(context: OrchestrationContext, text: str):
        event = yield context.wait_for_external_event("go")
        if event != "end":
            context.continue_as_new(text + event)
            return None
        return text

    instance_id = client.start_new(grows, None, LARGE)
    worker.run_until_idle()
    for _ in range(3):
        client.raise_event(instance_id, "go", LARGE)
        worker.run_until_idle()

        assert len(kept(files)) == 2  # the first input, for a restart, and the present one
        assert kept(files) == recorded()

    client.raise_event(instance_id, "go", "end")
    worker.run_until_idle()
    assert client.get_status(instance_id).output == LARGE * 4


def test_a_rewind_reads_them_and_repeats_no_completed_work(client, run, worker, stage):
    @orchestrator
    def fails_after(context: OrchestrationContext):
        value = yield context.call_activity("work", LARGE)
        if not stage.mended:
            raise ValueError("a bug")
        return value

    instance_id = run(fails_after).instance_id
    stage.mended = True
    client.rewind(instance_id)
    worker.run_until_idle()

    assert client.get_status(instance_id).output == LARGE
    assert stage.runs[LARGE] == 1


def test_a_retried_activity_gets_its_input_again(run, worker, client, stage):
    @orchestrator
    def insists(context: OrchestrationContext):
        return (yield context.call_activity_with_retry("work", RetryOptions(1, 2), LARGE))

    stage.failing.add(LARGE)
    instance_id = client.start_new(insists)
    worker.run_until(lambda: stage.runs[LARGE] == 1, 10, "it did not run")
    stage.failing.clear()
    worker.run_until_ended(instance_id)

    assert client.get_status(instance_id).output == LARGE


def test_a_restart_has_a_file_of_its_own(run, client, worker):
    first = run(functions.calls, ["work", LARGE]).instance_id
    second = client.restart(first)
    client.purge_instance_history(first)

    worker.run_until_idle()

    assert client.get_status(second).output == LARGE


def test_the_file_of_the_first_input_outlives_generations_but_no_purge(client, worker, files):
    @orchestrator
    def shrinks(context, texts):
        yield context.task_all([])
        if len(texts) > 1:
            context.continue_as_new(texts[1:])

    client.start_new(shrinks, "order", [LARGE, LARGE, LARGE])
    worker.run_until_ended("order")
    [first_input] = Instance.objects.values_list("first_input", flat=True)
    assert is_reference(first_input)
    assert kept(files) == recorded()
    assert len(kept(files)) == 2, "the first input and the present one"

    again = client.restart("order")
    client.purge_instance_history("order")

    assert client.get_status(again).input == [LARGE, LARGE, LARGE]
    assert kept(files) == recorded()
    worker.run_until_ended(again)
    client.restart(again, restart_with_new_instance_id=False)
    assert Instance.objects.get().input != Instance.objects.get().first_input
    client.terminate(again)
    worker.run_until_ended(again)
    client.purge_instance_history(again)
    assert kept(files) == recorded() == set()


def test_a_purge_deletes_the_files(run, client, files):
    run(functions.calls, ["work", LARGE], "order")
    run(functions.calls, ["work", LARGE], "other")
    before = kept(files)

    client.purge_instance_history("order")

    assert set() < kept(files) < before
    assert kept(files) == recorded()
    assert client.get_status("other").output == LARGE


def test_a_new_start_under_an_ended_id_deletes_the_old_files(run, client, files):
    run(functions.calls, ["work", LARGE], "order")

    run(functions.calls, ["work", "small"], "order")

    assert kept(files) == recorded() == set()


def test_above_10_mib_a_payload_is_refused_with_its_code(client, run, files):
    too_large = "x" * PAYLOAD_BYTES

    with pytest.raises(PayloadRejected, match="10,485,762 bytes") as refused:
        client.start_new(functions.calls, None, too_large)
    assert refused.value.code == "payload_rejected"

    instance_id = client.start_new(functions.waits, None, 1)
    with pytest.raises(PayloadRejected):
        client.raise_event(instance_id, "go", too_large)
    assert kept(files) == set()

    @activity
    def makes() -> str:
        return too_large

    failed = run(functions.calls, ["makes", None])
    assert failed.failure_details.is_caused_by("PayloadRejected")


def test_a_start_that_is_rolled_back_leaves_a_stray_that_is_swept_by_its_age(client, run, files):
    run(functions.calls, ["work", LARGE], "order")
    referred_to = kept(files)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        client.start_new(functions.calls, None, ["work", LARGE])
        raise ZeroDivisionError
    assert len(kept(files)) == len(referred_to) + 1

    store = get_store()
    assert store.sweep_strays(timedelta(hours=1)) == 0
    assert store.sweep_strays(timedelta(seconds=-60)) == 1
    assert kept(files) == referred_to == recorded()


def test_a_storage_that_takes_nothing_refuses_the_start_with_its_reason(client, settings, files):
    settings.MEDIA_ROOT = "/proc/nowhere"

    with pytest.raises(PayloadNotKept, match="LARGE_PAYLOAD_STORAGE"):
        client.start_new(functions.calls, "order", ["work", LARGE])
    assert not Instance.objects.exists()


def test_an_instance_whose_step_the_storage_refuses_waits_alone(client, worker):
    large = client.start_new(functions.calls, None, ["work", LARGE])
    small = client.start_new(functions.calls, None, ["work", "small"])
    history = HistoryEvent.objects.filter(instance__instance_id=large)

    def refuse(*args: object) -> str:
        raise PayloadNotKept("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrations.payload_files.write", refuse)
        worker.run_until_ended(small)

    row = Instance.objects.get(instance_id=large)
    assert not history.exists()
    assert "the disk is full" in row.waiting_for


def test_a_missing_file_is_told_by_whoever_reads_it(run, client, files):
    instance_id = run(functions.calls, ["work", LARGE]).instance_id
    lose_files(files)

    with pytest.raises(PayloadUnavailable, match="is missing"):
        client.get_status(instance_id)


@pytest.fixture
def meanwhile(monkeypatch):
    """Does something between the reading of a row and that of its file, once."""

    def meanwhile(act) -> None:
        read, acts = payload_files.read, [act]

        def late(reference: str) -> str:
            if acts:
                acts.pop()()
            return read(reference)

        monkeypatch.setattr(payload_files, "read", late)

    return meanwhile


def test_an_instance_that_is_purged_while_it_is_read_is_unknown(run, client, meanwhile):
    run(functions.calls, ["work", LARGE], "order")

    meanwhile(lambda: OrchestrationClient().purge_instance_history("order"))

    assert client.get_status("order", show_history=True) is None


def test_one_that_is_purged_while_many_are_read_is_none_of_them(run, client, meanwhile):
    run(functions.calls, ["work", LARGE], "order")
    run(functions.calls, ["work", LARGE], "other")

    meanwhile(lambda: OrchestrationClient().purge_instance_history("other"))

    assert [status.instance_id for status in client.get_status_by()] == ["order"]


def test_an_instance_that_continues_as_new_while_it_is_read_is_told_as_it_is_then(client, worker, meanwhile):
    @orchestrator
    def grows(context: OrchestrationContext, text: str):
        context.continue_as_new(text + (yield context.wait_for_external_event("go")))

    client.start_new(grows, "order", LARGE)
    worker.run_until_idle()
    client.raise_event("order", "go", "1")
    worker.run_until_idle()
    client.raise_event("order", "go", "2")

    meanwhile(worker.run_until_idle)
    status = client.get_status("order", show_history=True)

    assert status.input == f"{LARGE}12"
    assert [event["EventType"] for event in status.history] == ["ExecutionStarted"]


def test_an_entity_that_changes_while_it_is_read_is_told_as_it_is_then(client, worker, meanwhile):
    @entity
    def notes(context: EntityContext) -> None:
        context.set_state(context.get_state(lambda: "") + context.get_input())

    for text in (LARGE, "1"):
        client.signal_entity(EntityId("notes", "ann"), "add", text)
        worker.run_until_idle()
    client.signal_entity(EntityId("notes", "ann"), "add", "2")

    meanwhile(worker.run_until_idle)

    assert client.read_entity_state(EntityId("notes", "ann")).entity_state == f"{LARGE}12"


def test_a_damaged_file_is_told(run, client, files):
    instance_id = run(functions.calls, ["work", LARGE]).instance_id
    for path in files.rglob("*.gz"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(PayloadUnavailable, match="is damaged"):
        client.get_status(instance_id)


def test_an_instance_without_its_file_waits_with_the_reason_and_can_be_terminated_and_purged(client, worker, files):
    instance_id = client.start_new(functions.calls, None, ["work", LARGE])
    other = client.start_new(functions.chain, None, 1)
    lose_files(files)
    worker.run_until_ended(other)

    row = Instance.objects.get(instance_id=instance_id)
    assert (row.status, row.attempts) == ("Pending", 0)
    assert "is missing" in row.waiting_for

    client.terminate(instance_id)
    worker.run_until(lambda: queries.get_instance("default", instance_id).status == "Terminated", 10, "it went on")
    assert client.purge_instance_history(instance_id).instances_deleted == 1
    assert recorded() == set()


def test_an_event_whose_file_is_missing_does_not_stand_in_the_way_of_a_termination(client, worker, files):
    instance_id = client.start_new(functions.waits, None, 1)
    worker.run_until_idle()
    client.raise_event(instance_id, "go", LARGE)
    lose_files(files)
    worker.run_until_idle()
    assert "is missing" in Instance.objects.get(instance_id=instance_id).waiting_for

    client.terminate(instance_id, "enough")
    worker.run_until_idle()

    assert client.get_status(instance_id).output == "enough"


def test_an_instance_goes_on_when_its_file_is_back(client, worker, files):
    instance_id = client.start_new(functions.calls, None, ["work", LARGE])
    [path] = files.rglob("*.gz")
    content = path.read_bytes()
    path.unlink()
    worker.run_until_idle()

    path.write_bytes(content)
    Instance.objects.update(claimable_at=get_store().now() - timedelta(seconds=1))
    worker.run_until_idle()

    assert client.get_status(instance_id).output == LARGE


def test_an_activity_whose_input_is_missing_fails_and_does_not_run(client, worker, stage, files, cache_size):
    @orchestrator
    def calls_later(context: OrchestrationContext):
        return (yield context.call_activity("work", LARGE))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.runtime.pool, "has_room", lambda *arguments: False)
        patch.setattr(type(worker.runtime.pool), "room", dict.fromkeys(RunsOn, 0))
        instance_id = client.start_new(calls_later)
        worker.runtime.drain(0.2)
    lose_files(files)
    worker.run_until_idle()

    assert stage.runs[LARGE] == 0
    if cache_size:
        assert client.get_status(instance_id).failure_details.is_caused_by(PayloadUnavailable)
    else:  # the failure can't be told to code whose history can't be replayed
        assert "is missing" in Instance.objects.get().waiting_for


def test_small_payloads_cost_no_statement(client, worker, run):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        instance_id = client.start_new(functions.calls, None, ["work", "small"])
        worker.run_until_idle()

    assert client.get_status(instance_id).output == "small"
    statements = [str(query["sql"]) for query in captured]
    mine = [sql for sql in statements if "durable_large_payload" in sql]
    assert mine
    assert all("durable_instance" in sql for sql in mine)  # a part of the fence, nothing more


def test_a_text_that_looks_like_a_reference_is_one_no_more_once_it_is_json(run):
    pretended = f"{PREFIX}12:durable/payloads/default/00/0.json.gz"

    assert run(functions.calls, ["work", pretended]).output == pretended


def test_the_folder_is_private_to_the_task_hub(run, files):
    run(functions.calls, ["work", LARGE])

    assert all(name.startswith("durable/payloads/default/") for name in kept(files))


def test_the_state_of_an_entity_is_read_and_its_former_file_goes(client, worker, files):
    @entity
    def notes(context: EntityContext) -> None:
        context.set_state(context.get_state(lambda: "") + context.get_input())

    for count in (1, 2, 3):
        client.signal_entity(EntityId("notes", "ann"), "add", LARGE)
        worker.run_until_idle()

        assert client.read_entity_state(EntityId("notes", "ann")).entity_state == LARGE * count
        assert len(kept(files)) == 1
        assert kept(files) == recorded()


def test_an_entity_without_its_file_waits_with_the_reason(client, worker, files):
    @entity
    def notes(context: EntityContext) -> None:
        context.set_state(context.get_state(lambda: "") + context.get_input())

    client.signal_entity(EntityId("notes", "ann"), "add", LARGE)
    worker.run_until_idle()
    lose_files(files)

    client.signal_entity(EntityId("notes", "ann"), "add", "more")
    worker.run_until_idle()

    assert "is missing" in Instance.objects.get().waiting_for
    assert InboxMessage.objects.count() == 1
