"""Starting orchestrations: what is accepted, what is refused, and that it joins the caller's transaction."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import date, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from orchestrations import (
    FunctionNotRegistered,
    InstanceAlreadyExists,
    InstanceNotFound,
    InvalidInstanceId,
    OrchestrationClient,
    PayloadRejected,
)
from orchestrations.models import HistoryEvent, Instance
from tests import rows
from tests.functions import Order, bill, charge, echo


def test_a_start_is_one_pending_row_that_can_be_claimed_at_once(client):
    instance_id = client.start_new(echo, client_input={"number": 1})

    row = Instance.objects.get()
    assert (row.instance_id, row.name, row.status) == (instance_id, "echo", "Pending")
    assert json.loads(row.input) == {"number": 1}
    assert row.claimable_at <= timezone.now()
    assert len(instance_id) == 32


def test_a_function_may_be_given_by_name(client):
    client.start_new("echo", "mine")

    assert Instance.objects.get().instance_id == "mine"


def test_an_input_is_encoded_as_the_parameter_is_annotated(client):
    client.start_new(bill, client_input=Order(7, "Noor"))

    assert json.loads(Instance.objects.get().input) == {"number": 7, "customer": "Noor"}


def test_the_version_is_the_functions_unless_given(client):
    assert Instance.objects.get(instance_id=client.start_new(bill, client_input=Order(1, "a"))).version == "2"
    assert Instance.objects.get(instance_id=client.start_new(bill, None, Order(1, "a"), version="3")).version == "3"


def test_tags_are_kept(client):
    client.start_new(echo, tags={"tenant": "north"})

    assert Instance.objects.get().tags == {"tenant": "north"}


@pytest.mark.parametrize("tags", [{"a": 1}, {1: "a"}, {"a": "\x00"}, {"a": "\ud800"}, {"x" * 300: "a"}, ["a"], "a", 7])
def test_tags_that_are_no_short_text_are_refused(client, tags):
    with pytest.raises(PayloadRejected):
        client.start_new(echo, tags=tags)
    assert not Instance.objects.exists()


def test_an_unknown_orchestrator_is_refused_with_the_known_names(client):
    with pytest.raises(FunctionNotRegistered, match="echo"):
        client.start_new("ecko")


def test_an_activity_can_not_be_started(client):
    with pytest.raises(TypeError, match="activity"):
        client.start_new(charge)


@pytest.mark.parametrize(
    "instance_id", ["", "@counter@1", "a/b", "a\\b", "a#b", "a?b", "a\nb", "a\x7fb", "a\ud800", "x" * 257, ".", ".."]
)
def test_an_id_that_breaks_the_rules_is_refused(client, instance_id):
    with pytest.raises(InvalidInstanceId):
        client.start_new(echo, instance_id)


@pytest.mark.parametrize("instance_id", ["x", "x" * 256, "a b", "a@b", "Zürich:2026", "<b>&'\"", "🚀", "a..", "..."])
def test_any_other_id_is_taken_as_it_is(client, instance_id):
    assert client.start_new(echo, instance_id) == instance_id
    assert client.get_status(instance_id).instance_id == instance_id


@pytest.mark.parametrize("instance_id", [7, b"order", uuid.UUID(int=7), True, ["order"]])
def test_an_id_that_is_no_text_is_refused_with_advice(client, instance_id):
    with pytest.raises(InvalidInstanceId, match=rf"type {type(instance_id).__name__}, and an id is text"):
        client.start_new(echo, instance_id)


@pytest.mark.parametrize("given", [{"version": 2}, {"tags": {"a": None}}])
def test_what_has_to_be_text_and_is_none_is_refused(client, given):
    with pytest.raises(PayloadRejected, match=r"is of the type|is not text"):
        client.start_new(echo, **given)


def test_a_version_that_no_orchestrator_can_have_is_refused(client):
    with pytest.raises(PayloadRejected, match=r"U\+00A0"):
        client.start_new(echo, version="1\u00a0")


def test_an_input_that_json_can_not_hold_is_refused(client):
    with pytest.raises(PayloadRejected):
        client.start_new(echo, client_input={"a": float("nan")})


def test_a_scheduled_start_can_not_be_claimed_before(client):
    at = timezone.now() + timedelta(hours=1)
    client.start_new(echo, start_at=at)

    row = Instance.objects.get()
    assert row.status == "Pending"
    assert row.claimable_at == row.scheduled_start_at == at


def test_a_naive_start_time_is_refused(client):
    with pytest.raises(ValueError, match="time zone"):
        client.start_new(echo, start_at=datetime(2030, 1, 1))  # noqa: DTZ001


EAST, WEST = timezone.get_fixed_timezone(14 * 60), timezone.get_fixed_timezone(-12 * 60)


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=EAST), datetime.max.replace(tzinfo=WEST)])
def test_a_start_time_that_no_row_could_tell_again_is_refused(client, at):
    with pytest.raises(ValueError, match="years 1 to 9999 in UTC"):
        client.start_new(echo, start_at=at)
    assert not Instance.objects.exists()


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=WEST), datetime.max.replace(tzinfo=EAST)])
def test_the_first_and_the_last_moment_are_start_times(client, at):
    instance_id = client.start_new(echo, start_at=at)

    assert client.get_status(instance_id).scheduled_start_time == at
    assert [status.instance_id for status in client.get_status_all()] == [instance_id]


@pytest.mark.parametrize("at", ["2030-01-01T00:00:00Z", date(2030, 1, 1), 7, timedelta(days=1)])
def test_a_start_time_is_a_datetime(client, at):
    with pytest.raises(TypeError, match="start_at is of the type"):
        client.start_new(echo, start_at=at)


@pytest.mark.parametrize("status", ["Pending", "Running", "Suspended", "ContinuedAsNew"])
def test_the_id_of_a_live_instance_is_taken(client, status):
    rows.instance("order", status=status)

    with pytest.raises(InstanceAlreadyExists, match=status):
        client.start_new(echo, "order")


@pytest.mark.parametrize("status", ["Completed", "Failed", "Terminated", "Canceled"])
def test_an_ended_instance_is_replaced_with_its_history(client, status):
    ended = rows.instance("order", status=status, output='"old"')
    rows.history(ended, (rows.EventType.EXECUTION_STARTED, {}))

    client.start_new(echo, "order", 1)

    row = Instance.objects.get()
    assert (row.status, row.output) == ("Pending", None)
    assert not HistoryEvent.objects.filter(execution=row.execution).exists()


def test_with_error_even_an_ended_instance_keeps_its_id(client):
    rows.instance("order", status="Completed")

    with pytest.raises(InstanceAlreadyExists):
        client.start_new(echo, "order", on_duplicate="error")


def test_with_return_existing_nothing_is_started(client):
    rows.instance("order", status="Running", input="1")

    assert client.start_new(echo, "order", 2, on_duplicate="return-existing") == "order"
    assert Instance.objects.get().input == "1"


def test_an_unknown_policy_is_refused(client):
    with pytest.raises(ValueError, match="overwrite"):
        client.start_new(echo, "order", on_duplicate="overwrite")


def test_many_starts_return_their_ids_in_the_order_of_the_inputs(client):
    ids = client.start_many(echo, range(20), tags={"batch": "1"})

    inputs = dict(Instance.objects.values_list("instance_id", "input"))
    assert [inputs[instance_id] for instance_id in ids] == [str(number) for number in range(20)]


def test_many_starts_are_all_or_nothing(client):
    with pytest.raises(PayloadRejected):
        client.start_many(echo, [1, float("inf")])
    assert not Instance.objects.exists()


def test_many_starts_cost_as_many_statements_as_one(client, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        client.start_many(echo, range(100))


def test_no_starts_at_all_are_fine(client):
    assert client.start_many(echo, []) == []


class Undone(Exception):
    """Rolls the caller's transaction back."""


def test_a_start_is_undone_with_the_callers_transaction(client):
    with pytest.raises(Undone), transaction.atomic():
        client.start_new(echo)
        raise Undone
    assert not Instance.objects.exists()


def test_a_refused_start_leaves_the_callers_transaction_usable(client):
    rows.instance("order")
    with transaction.atomic():
        with pytest.raises(InstanceAlreadyExists):
            client.start_new(echo, "order")
        client.start_new(echo, "other")
    assert set(Instance.objects.values_list("instance_id", flat=True)) == {"order", "other"}


@pytest.mark.django_db(transaction=True)
def test_of_concurrent_starts_under_one_id_exactly_one_wins():
    client, outcomes, barrier = OrchestrationClient(), [], threading.Barrier(6)

    def start() -> None:
        barrier.wait()
        try:
            outcomes.append(client.start_new(echo, "singleton"))
        except InstanceAlreadyExists:
            outcomes.append(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes, key=str) == [None] * 5 + ["singleton"]
    assert Instance.objects.count() == 1


def test_a_restart_takes_over_name_input_tags_and_version(client):
    rows.instance("first", status="Failed", name="bill", input='{"number":1}', tags={"a": "b"}, version="1")

    again = client.restart("first")

    row = Instance.objects.get(instance_id=again)
    assert again != "first"
    assert (row.name, row.input, row.tags, row.version) == ("bill", '{"number":1}', {"a": "b"}, "1")
    assert row.status == "Pending"


def test_a_restart_under_the_same_id_replaces_the_ended_instance(client):
    rows.instance("first", status="Completed", input="1")

    assert client.restart("first", restart_with_new_instance_id=False) == "first"
    assert Instance.objects.get().status == "Pending"


def test_a_live_instance_can_be_restarted_under_a_new_id_only(client):
    rows.instance("first", status="Running")

    assert client.restart("first") != "first"
    with pytest.raises(InstanceAlreadyExists):
        client.restart("first", restart_with_new_instance_id=False)


def test_a_restarted_child_has_no_parent(client):
    parent = rows.instance("parent")
    rows.instance("child", status="Completed", parent=parent)

    assert Instance.objects.get(instance_id=client.restart("child")).parent is None


def test_an_unknown_instance_can_not_be_restarted(client):
    with pytest.raises(InstanceNotFound):
        client.restart("nobody")


def test_a_restart_needs_the_function(client):
    rows.instance("first", status="Completed", name="gone")

    with pytest.raises(FunctionNotRegistered):
        client.restart("first")
