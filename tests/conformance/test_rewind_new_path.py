"""After a rewind the code takes another path: nothing there is taken for what was taken back, or gets its results."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrations import ActivityContext, Reviewers, TaskFailedError, activity, orchestrator
from orchestrations.models import HistoryEvent, HumanTask, InboxMessage, Instance
from orchestrations.testing import answer_task
from tests.runtime import functions
from tests.runtime.functions import work

NOW = timedelta(0)


@pytest.fixture
def declare(stage):
    """Makes an orchestrator that does the one where ``x`` failed, and the other where it was done."""

    def declare(compensates, goes_on):
        @orchestrator(name="order")
        def order(context):
            try:
                yield context.call_activity(work, "x")
            except TaskFailedError:
                yield from compensates(context)
                raise
            return (yield from goes_on(context))

        @orchestrator(name="undo")
        def undo(context):
            return (yield context.wait_for_external_event("go"))

        @orchestrator(name="ship")
        def ship(context):
            yield context.call_activity(work, "ship")
            return (yield context.wait_for_external_event("go"))

    return declare


@pytest.fixture
def fail(client, worker, stage):
    def fail():
        stage.failing = {"x"}
        client.start_new("order", "order")
        worker.run_until_idle()

    return fail


@pytest.fixture
def mend(client, worker, stage):
    def mend():
        assert client.get_status("order").runtime_status == "Failed"
        stage.failing.clear()
        client.rewind("order")
        worker.run_until_idle()

    return mend


def calls_a_child(name, instance_id=None):
    def steps(context):
        return (yield context.call_sub_orchestrator(name, instance_id=instance_id))

    return steps


def leaves_a_child(instance_id=None):
    """Begins to undo, and does not wait for the end of that."""

    def steps(context):
        undo = context.call_sub_orchestrator("undo", instance_id=instance_id)
        yield context.task_any([undo, context.create_timer(NOW)])

    return steps


def ask(context, title):
    return context.wait_for_external_event("approval", title=title, form=str, assign=Reviewers(users=["dana"]))


def statuses():
    return dict(Instance.objects.values_list("instance_id", "status"))


def test_a_sub_orchestration_gets_another_id_than_one_that_was_taken_back(declare, fail, mend, client, worker):
    declare(calls_a_child("undo"), calls_a_child("ship"))
    fail()
    client.raise_event("order:0002", "go", "undone")
    worker.run_until_ended("order")
    mend()
    client.raise_event("order:0003", "go", "shipped")

    assert worker.run_until_ended("order").output == "shipped"
    assert client.get_status("order:0002").output == "undone", "what was undone stays readable"


def test_a_sub_orchestration_that_was_taken_back_and_still_runs_is_in_nobodys_way(declare, fail, mend, client, worker):
    declare(leaves_a_child(), calls_a_child("ship"))
    fail()
    mend()
    assert statuses() == {"order": "Running", "order:0002": "Running", "order:0004": "Running"}
    client.raise_event("order:0004", "go", "shipped")

    assert worker.run_until_ended("order").output == "shipped"


def test_the_result_of_what_was_taken_back_ends_no_other_call(declare, fail, mend, client, worker):
    declare(leaves_a_child("undoing"), calls_a_child("ship", "shipping"))
    fail()
    mend()
    client.raise_event("undoing", "go", "undone")
    worker.run_until_idle()
    assert statuses() == {"order": "Running", "undoing": "Completed", "shipping": "Running"}
    client.raise_event("shipping", "go", "shipped")

    assert worker.run_until_ended("order").output == "shipped"


def test_a_call_at_the_place_where_the_failure_was_seen_is_not_given_an_older_result(
    declare, fail, client, worker, stage
):
    @orchestrator(name="order")
    def order(context):
        failing = context.call_activity(work, "x")
        yield context.create_timer(timedelta(hours=1))
        if failing.is_completed and failing.is_failed:
            yield context.call_sub_orchestrator(functions.calls, ["work", "undo"])
            return failing.result
        done = yield context.call_sub_orchestrator(functions.calls, ["work", "ship"])
        return [done, (yield failing)]

    fail()
    worker.skip_timers("order")
    worker.run_until_ended("order")
    stage.failing.clear()
    client.rewind("order")

    assert worker.run_until_ended("order").output == ["ship", "x"]
    assert stage.runs == {"x": 2, "undo": 1, "ship": 1}


def test_an_instance_that_the_new_path_starts_is_started(declare, fail, mend, client, worker, stage):
    def starts(name):
        def steps(context):
            yield context.create_timer(NOW)
            return context.start_new(name)

        return steps

    declare(starts("undo"), starts("ship"))
    fail()
    mend()

    assert stage.runs["ship"] == 1
    assert client.get_status("order").output == "order:0005"
    assert statuses() == {"order": "Completed", "order:0003": "Running", "order:0005": "Running"}


def test_another_call_has_another_idempotency_key_and_what_is_done_again_the_same(declare, fail, mend, client, worker):
    keys = {}

    @activity
    def pays(context: ActivityContext, what: str) -> str:
        keys.setdefault(what, []).append(context.idempotency_key)
        if what == "capture" and len(keys[what]) == 1:
            raise ConnectionError("no bank")
        return what

    def pay(what):
        def steps(context):
            return (yield context.call_activity(pays, what))

        return steps

    declare(pay("refund"), pay("capture"))
    fail()
    mend()
    mend()

    assert client.get_status("order").output == "capture"
    assert len(keys["capture"]) == 2
    assert len({*keys["refund"], *keys["capture"]}) == 2


def test_the_answer_to_a_question_that_was_taken_back_answers_no_other(
    declare, fail, mend, client, worker, django_user_model
):
    django_user_model.objects.create_user("dana")

    def asks(title):
        def steps(context):
            return (yield ask(context, title)).data

        return steps

    declare(asks("Refund?"), asks("Ship?"))
    fail()
    answer_task("order", "dana", "to her card")
    worker.run_until_ended("order")
    mend()
    assert client.get_status("order").runtime_status == "Running"
    answer_task("order", "dana", "by rail")

    assert worker.run_until_ended("order").output == "by rail"


def test_an_answer_that_is_delivered_again_answers_no_question_of_the_new_path(
    fail, mend, client, worker, stage, django_user_model
):
    django_user_model.objects.create_user("dana")

    @orchestrator(name="order")
    def order(context):
        call, shipped = context.call_activity(work, "x"), context.wait_for_external_event("shipped")
        try:
            if (yield context.task_any([call, shipped])) is call:
                call.get_result()
        except TaskFailedError:
            yield ask(context, "Refund?")
            raise
        return (yield ask(context, "How was it?")).data

    fail()
    client.raise_event("order", "shipped")  # too late for what waited for it, and there for the rewind
    answer_task("order", "dana", "to her card")
    worker.run_until_ended("order")
    mend()
    assert client.get_status("order").runtime_status == "Running"
    answer_task("order", "dana", "fine")

    assert worker.run_until_ended("order").output == "fine"


def test_nor_does_one_that_comes_with_the_rewind(fail, mend, client, worker, stage, django_user_model):
    django_user_model.objects.create_user("dana")

    @orchestrator(name="ship")
    def ship(context):
        yield context.wait_for_external_event("go")

    @orchestrator(name="order")
    def order(context):
        call, shipped = context.call_activity(work, "x"), context.call_sub_orchestrator("ship", instance_id="ship")
        try:
            if (yield context.task_any([call, shipped])) is call:
                call.get_result()
        except TaskFailedError:
            yield context.task_any([ask(context, "Refund?"), context.create_timer(timedelta(hours=1))])
            raise
        return (yield ask(context, "How was it?")).data

    fail()
    question = HumanTask.objects.get()
    worker.skip_timers("order")
    worker.run_until_ended("order")
    client.raise_event("ship", "go")
    worker.run_until_idle()
    InboxMessage.objects.create(  # on its way when the question was withdrawn
        hub=question.hub,
        instance=question.instance,
        type="EventRaised",
        name="approval",
        payload='"to her card"',
        attributes=f'{{"wait_id":{question.wait_id},"generation":1}}',
    )
    mend()
    assert client.get_status("order").runtime_status == "Running"
    answer_task("order", "dana", "fine")

    assert worker.run_until_ended("order").output == "fine"


def test_each_round_of_compensation_keeps_its_own_record(declare, fail, client, worker):
    """Rewound in vain: a sub-orchestration with an id of the author's is another one each time."""
    declare(calls_a_child("undo", "undoing"), calls_a_child("ship"))
    fail()
    for number in (1, 2, 3):
        client.raise_event("undoing", "go", number)
        worker.run_until_ended("order")
        client.rewind("order")
        worker.run_until_idle()

    assert client.get_executions("undoing") == [1, 2, 3, 4]
    assert [client.get_history("undoing", number)[-1]["Result"] for number in (1, 2, 3)] == [1, 2, 3]


def test_the_history_says_which_numbers_are_used_up(declare, fail, mend, client):
    declare(leaves_a_child(), calls_a_child("ship"))
    fail()
    mend()

    rewound = HistoryEvent.objects.get(type="ExecutionRewound")
    assert '"numbers_used":3' in rewound.attributes
    created = HistoryEvent.objects.get(type="SubOrchestrationInstanceCreated", execution=2)
    assert created.task_id == 4
