"""Bulk jobs: each instance has its turn once, with the rights of whoever asked, and every one is accounted for."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Permission, User
from django.db import DataError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from orchestrations.access.permissions import Action
from orchestrations.bulk import jobs
from orchestrations.bulk import runner as running
from orchestrations.bulk.acts import checked_parameters
from orchestrations.bulk.runner import BulkRunner
from orchestrations.bulk.selections import Selection
from orchestrations.client.many import ActingOnMany
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PayloadRejected, PermissionRefused
from orchestrations.models import AuditEntry, BulkJob, Grant, InboxMessage, Instance
from orchestrations.reading.queries import InstanceFilter
from orchestrations.store import get_store
from tests import rows


def told() -> list[str]:
    """The ids of the instances that have a message, each as often as it has one."""
    return sorted(InboxMessage.objects.values_list("instance__instance_id", flat=True))


@pytest.mark.parametrize(
    "action, status, event",
    [
        (Action.TERMINATE, "Running", "ExecutionTerminated"),
        (Action.SUSPEND, "Running", "ExecutionSuspended"),
        (Action.RESUME, "Suspended", "ExecutionResumed"),
        (Action.REWIND, "Failed", "ExecutionRewound"),
    ],
)
def test_a_control_act_reaches_every_instance_once(make_job, finish, action, status, event):
    for number in range(5):
        rows.instance(f"order-{number}", status=status, minutes=number)

    job = finish(make_job(action))

    assert (job.state, job.total, job.done, job.skipped, job.failed) == ("Completed", 5, 5, 0, 0)
    assert told() == [f"order-{number}" for number in range(5)]
    message = InboxMessage.objects.first()
    assert message.type == event
    attributes = json.loads(message.attributes)
    assert (attributes["reason"], attributes["by"]) == ("vendor outage", "ada")


def test_each_instance_has_an_audit_row_that_names_the_job(make_job, finish):
    rows.instance("one")
    rows.instance("two")

    job = finish(make_job(Action.TERMINATE))

    assert AuditEntry.objects.get(action="made_job").reason == "vendor outage"
    entries = AuditEntry.objects.exclude(action="made_job").order_by("instance_id")
    assert [entry.instance_id for entry in entries] == ["one", "two"]
    for entry in entries:
        assert entry.details == {"was": "Running", "recursive": True, "job": job.pk}
        assert (entry.action, entry.actor_name, entry.reason) == ("terminate", "ada", "vendor outage")
        assert (entry.via, entry.address) == ("Dashboard", "192.0.2.7")


def test_a_job_goes_through_its_instances_in_batches(make_job, runner, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 2)
    for number in range(5):
        rows.instance(f"order-{number}", minutes=number)
    job = make_job(Action.SUSPEND)

    assert runner.run_batch()

    job.refresh_from_db()
    assert (job.state, job.done) == ("Running", 2)
    assert told() == ["order-3", "order-4"]  # the newest first
    assert runner.run_batch()
    assert runner.run_batch()
    job.refresh_from_db()
    assert (job.state, job.done) == ("Completed", 5)
    assert not runner.run_batch()


def test_instances_of_the_same_moment_are_all_reached(make_job, finish, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 2)
    for number in range(5):
        rows.instance(f"order-{number}")

    assert finish(make_job(Action.SUSPEND)).done == 5
    assert told() == [f"order-{number}" for number in range(5)]


def test_a_batch_whose_worker_dies_is_done_again_and_only_once(make_job, finish, runner, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 2)
    for number in range(4):
        rows.instance(f"order-{number}", minutes=number)
    job = make_job(Action.SUSPEND)
    runner.run_batch()

    def die(*args: object, **options: object) -> None:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as dying:
        dying.setattr(BulkJob, "save", die)  # after the messages were written, before the commit
        with pytest.raises(OperationalError):
            runner.run_batch()
    assert told() == ["order-2", "order-3"]

    assert finish(job).done == 4
    assert told() == [f"order-{number}" for number in range(4)]


def test_of_two_workers_at_one_batch_only_one_writes(make_job, runner):
    rows.instance("one")
    job = make_job(Action.SUSPEND)
    behind = BulkJob.objects.get(pk=job.pk)
    runner.run_batch()

    assert not runner._take(behind)
    assert told() == ["one"]


def test_what_is_started_after_the_job_was_made_is_left_alone(make_job, finish, eventually):
    rows.instance("seen")
    job = make_job(Action.TERMINATE)
    made_at = get_store().now()
    eventually(lambda: get_store().now() > made_at)  # SQLite's clock goes by milliseconds
    Instance.objects.create(hub=rows.HUB, instance_id="later", name="echo", status="Running")

    assert finish(job).done == 1
    assert told() == ["seen"]


def test_a_filter_chooses(make_job, finish):
    parent = rows.instance("parent", name="bill", tags={"team": "a"})
    rows.instance("child", name="bill", parent=parent, tags={"team": "a"})
    rows.instance("stranger", name="echo")
    job = make_job(Action.TERMINATE, where=InstanceFilter(name="bill", tags={"team": "a"}, roots_only=True))

    assert finish(job).total == 1
    assert told() == ["parent"]
    finish(make_job(Action.SUSPEND, where=InstanceFilter(parent=parent)))
    assert told() == ["child", "parent"]


def test_statuses_in_which_the_act_means_nothing_are_never_walked_through(make_job, finish):
    rows.instance("running")
    rows.instance("done", status="Completed")

    job = finish(make_job(Action.TERMINATE, where=InstanceFilter()))

    assert (job.total, job.done, job.skipped) == (1, 1, 0)
    none = finish(make_job(Action.TERMINATE, where=InstanceFilter(statuses=(RuntimeStatus.COMPLETED,))))
    assert (none.state, none.total, none.done) == ("Completed", 0, 0)


def test_named_instances_that_are_gone_or_ended_are_skipped_with_the_reason(make_job, finish):
    rows.instance("running")
    rows.instance("ended", status="Completed")
    rows.entity("@counter@one")

    job = finish(make_job(Action.TERMINATE, ids=("running", "ended", "nobody", "@counter@one", "running")))

    assert (job.total, job.done, job.skipped) == (4, 1, 3)
    assert dict(job.problems.values_list("instance_id", "why")) == {
        "ended": "It is Completed.",
        "nobody": "There is no such instance.",
        "@counter@one": "There is no such instance.",
    }


def test_those_that_stop_matching_before_their_turn_are_counted_as_gone(make_job, runner, finish, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 1)
    for number in range(3):
        rows.instance(f"order-{number}", minutes=number)
    job = make_job(Action.TERMINATE)
    runner.run_batch()
    Instance.objects.filter(instance_id="order-1").update(status="Completed")

    job = finish(job)

    assert (job.total, job.done, job.gone) == (3, 2, 1)


def test_events_are_raised_once_for_each_and_never_past_an_approval(make_job, finish, ada):
    rows.instance("plain")
    rows.wait(rows.instance("asks"), "decision", title="Pay?", request={"groups": ["Finance"]})
    rows.instance("ended", status="Failed")

    job = finish(make_job(Action.RAISE_EVENT, event_name="decision", event_data={"approved": True}))

    assert (job.total, job.done, job.skipped) == (2, 1, 1)
    assert told() == ["plain"]
    message = InboxMessage.objects.get()
    assert (message.name, json.loads(message.payload)) == ("decision", {"approved": True})


def test_ended_instances_start_again_under_new_ids(make_job, finish):
    rows.instance("one", status="Completed", input='{"a": 1}', tags={"team": "a"})
    rows.instance("lost", status="Failed", name="gone_from_the_code")

    job = finish(make_job(Action.RESTART))

    assert (job.done, job.failed) == (1, 1)
    started = Instance.objects.get(status="Pending")
    assert (started.name, json.loads(started.input), started.tags) == ("echo", {"a": 1}, {"team": "a"})
    assert "gone_from_the_code" in job.problems.get().why
    assert AuditEntry.objects.get(action="restart").details["restarted"] == "one"


def test_what_has_continued_as_new_starts_again_as_it_was_started(make_job, finish):
    rows.instance("one", status="Completed", input="3", version="2", first_input="0", first_version="1")

    finish(make_job(Action.RESTART))

    started = Instance.objects.get(status="Pending")
    assert (started.input, started.version, started.first_version) == ("0", "1", None)


def test_a_purge_takes_descendants_where_asked_and_leaves_live_ones(make_job, finish):
    parent = rows.instance("parent", status="Completed")
    rows.instance("child", status="Completed", parent=parent, minutes=1)
    rows.instance("running")

    job = finish(make_job(Action.PURGE, where=InstanceFilter(roots_only=True), recursive=True))

    assert job.done == 1
    assert [row.instance_id for row in Instance.objects.all()] == ["running"]
    assert [entry.instance_id for entry in AuditEntry.objects.filter(action="purge")] == ["parent"]


def test_tags_are_set_and_removed(make_job, finish):
    rows.instance("one", tags={"team": "a", "old": "x"})
    rows.instance("full", tags={f"tag-{number}": "" for number in range(50)})

    job = finish(make_job(Action.SET_TAGS, reason="", tags={"owner": "ada"}, remove_tags=["old"]))

    assert Instance.objects.get(instance_id="one").tags == {"team": "a", "owner": "ada"}
    assert (job.done, job.failed) == (1, 1)
    assert job.problems.get().instance_id == "full"


# Rights --------------------------------------------------------------------------------------------------------------


def test_a_job_needs_the_acts_permission(make_job, ada):
    ada.user_permissions.remove(Permission.objects.get(codename="purge_instance"))
    user = User.objects.get(pk=ada.pk)

    with pytest.raises(PermissionRefused, match="purge_instance"):
        jobs.create(
            user,
            rows.HUB,
            Action.PURGE,
            Selection(InstanceFilter()),
            parameters=checked_parameters(Action.PURGE),
            reason="old",
            via=AuditEntry.Via.API,
        )


def test_a_grant_for_some_names_lets_a_job_reach_those_alone(finish):
    eve = User.objects.create_user("eve")
    Grant.objects.create(user=eve, actions=["view", "suspend"], names="bill*")
    Grant.objects.create(user=eve, actions=["suspend"], names="*ing*")
    for name in ("bill", "billing", "echo"):
        rows.instance(f"{name}-1", name=name)
    rows.instance("bill-2", name="bill")

    for selection in (Selection(InstanceFilter(name="bill")), Selection.of_ids(["billing-1", "echo-1"])):
        given = {"parameters": checked_parameters(Action.SUSPEND), "via": AuditEntry.Via.DASHBOARD}
        finish(jobs.create(eve, rows.HUB, Action.SUSPEND, selection, **given)[0])

    assert told() == ["bill-1", "bill-2", "billing-1"]
    assert BulkJob.objects.latest("pk").problems.get().why == "There is no such instance."
    with pytest.raises(PermissionRefused):
        jobs.create(eve, rows.HUB, Action.RESUME, selection, **given)


def test_a_right_that_was_taken_away_meanwhile_is_missed_at_once(make_job, finish, runner, ada, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 1)
    for number in range(3):
        rows.instance(f"order-{number}", minutes=number)
    job = make_job(Action.TERMINATE)
    runner.run_batch()
    ada.user_permissions.clear()

    job = finish(job)

    assert (job.state, job.done, job.skipped) == ("Completed", 1, 2)
    assert told() == ["order-2"]


def test_a_job_ends_with_the_account_of_its_creator(make_job, finish, ada):
    rows.instance("one")
    job = make_job(Action.TERMINATE)
    ada.is_active = False
    ada.save()

    job = finish(job)

    assert (job.state, job.done) == ("Failed", 0)
    assert "'ada'" in job.error
    assert told() == []


# Trouble -------------------------------------------------------------------------------------------------------------


def test_one_bad_instance_fails_alone(make_job, finish, monkeypatch):
    for name in ("good", "bad", "fine"):
        rows.instance(name)
    suspend = ActingOnMany.control_many

    def picky(self, action, instances, *args, **options):
        outcomes = suspend(self, action, instances, *args, **options)
        if any(instance.instance_id == "bad" for instance in instances):
            raise DataError("invalid input")
        return outcomes

    monkeypatch.setattr(ActingOnMany, "control_many", picky)

    job = finish(make_job(Action.SUSPEND))

    assert (job.state, job.done, job.failed) == ("Completed", 2, 1)
    assert job.problems.values_list("instance_id", "outcome", "why").get() == ("bad", "failed", "invalid input")
    assert told() == ["fine", "good"]


def test_a_database_that_is_away_only_delays_a_job(make_job, finish, runner, monkeypatch):
    rows.instance("one")
    job = make_job(Action.SUSPEND)

    def away(self: BulkRunner) -> None:
        raise OperationalError("starting up")

    with monkeypatch.context() as trouble:
        trouble.setattr(BulkRunner, "run_batch", away)
        trouble.setattr(running, "connections", {"default": type("Connection", (), {"close": lambda self: None})()})
        runner.run()

    assert not runner.has_work()  # not at once
    assert finish(job).done == 1


def test_a_job_that_can_not_go_on_lets_the_others_go_first(make_job, runner):
    """One of a newer release, say, whose act the workers of this one do not know."""
    rows.instance("order", status="Running")
    strange, known = make_job(Action.TERMINATE), make_job(Action.SUSPEND)
    BulkJob.objects.filter(pk=strange.pk).update(action="fromTheFuture")

    assert not runner.run_batch()
    assert runner.run_batch()

    strange.refresh_from_db()
    known.refresh_from_db()
    assert (strange.state, strange.error) == ("Pending", "ValueError: 'fromTheFuture' is not a valid Action")
    assert (known.state, known.done) == ("Completed", 1)


def test_of_many_problems_the_first_of_each_outcome_are_kept(make_job, finish, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 2)
    monkeypatch.setattr(running, "BULK_PROBLEMS", 3)
    for number in range(4):
        rows.instance(f"bad-{number}")

    def refuse(*arguments: object, **options: object) -> object:
        raise DataError("invalid input")

    monkeypatch.setattr(ActingOnMany, "control_many", refuse)
    ids = ("a", "b", "bad-0", "c", "bad-1", "bad-2", "d", "bad-3", "e")
    job = finish(make_job(Action.SUSPEND, ids=ids))

    assert (job.skipped, job.failed) == (5, 4)
    assert list(job.problems.filter(outcome="skipped").values_list("instance_id", flat=True)) == ["a", "b", "c"]
    failed = list(job.problems.filter(outcome="failed").values_list("instance_id", flat=True))
    assert failed == ["bad-0", "bad-1", "bad-2"]


def test_problems_come_by_pages_and_by_outcome(make_job, finish):
    job = finish(make_job(Action.SUSPEND, ids=tuple(f"i-{number}" for number in range(7))))

    first = jobs.problems(job, limit=3)
    second = jobs.problems(job, limit=3, cursor=first.next_cursor)
    third = jobs.problems(job, limit=3, cursor=second.next_cursor)
    back = jobs.problems(job, limit=3, cursor=third.previous_cursor)

    told = [[row.instance_id for row in page.items] for page in (first, second, third, back)]
    assert told == [["i-0", "i-1", "i-2"], ["i-3", "i-4", "i-5"], ["i-6"], ["i-3", "i-4", "i-5"]]
    assert (first.previous_cursor, third.next_cursor) == (None, None)
    assert jobs.problems(job, "failed").items == []
    assert len(jobs.problems(job, "skipped").items) == 7


def test_a_batch_that_is_done_again_tells_no_problem_twice(make_job, finish, runner, monkeypatch):
    job = make_job(Action.SUSPEND, ids=("a", "b"))

    def die(*arguments: object, **options: object) -> None:
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as dying:
        dying.setattr(BulkJob, "save", die)
        with pytest.raises(OperationalError):
            runner.run_batch()

    assert finish(job).skipped == 2
    assert list(job.problems.values_list("instance_id", flat=True)) == ["a", "b"]


def test_old_jobs_make_room(make_job, finish, monkeypatch):
    monkeypatch.setattr(running, "BULK_JOBS_KEPT", 2)

    made = [finish(make_job(Action.SUSPEND)) for _ in range(4)]

    assert set(BulkJob.objects.values_list("pk", flat=True)) <= {job.pk for job in made[1:]}


# Stop, and what is asked for -----------------------------------------------------------------------------------------


def test_a_stopped_job_acts_on_nothing_more(make_job, runner, ada, monkeypatch):
    monkeypatch.setattr(running, "BULK_BATCH", 1)
    rows.instance("one")
    rows.instance("two", minutes=1)
    job = make_job(Action.TERMINATE)
    runner.run_batch()

    assert jobs.stop(ada, job, via=AuditEntry.Via.API, reason="wrong ones")
    stopped = AuditEntry.objects.get(action="stopped_job")
    assert (stopped.actor_name, stopped.reason, stopped.details["job"]) == ("ada", "wrong ones", job.pk)
    assert AuditEntry.objects.get(action="made_job").details["act"] == job.action

    assert not runner.run_batch()
    job.refresh_from_db()
    assert (job.state, job.stopped_by, job.done) == ("Stopped", "ada", 1)
    assert told() == ["two"]
    assert not jobs.stop(ada, job, via=AuditEntry.Via.API)


def test_only_its_creator_and_who_may_do_the_same_stop_a_job(make_job):
    job = make_job(Action.TERMINATE)

    with pytest.raises(PermissionRefused, match="'ada'"):
        jobs.stop(User.objects.create_user("eve"), job, via=AuditEntry.Via.API)
    assert jobs.stop(User.objects.create_superuser("root"), job, via=AuditEntry.Via.API)


def test_a_repeated_request_finds_the_job_of_the_first(ada):
    def create(user: User) -> tuple[BulkJob, bool]:
        return jobs.create(
            user,
            rows.HUB,
            Action.SUSPEND,
            Selection(InstanceFilter()),
            parameters=checked_parameters(Action.SUSPEND),
            via=AuditEntry.Via.API,
            request_key="once",
        )

    first, is_new = create(ada)
    again, is_new_again = create(ada)
    other, _ = create(User.objects.create_superuser("root"))

    assert (is_new, is_new_again) == (True, False)
    assert first.pk == again.pk != other.pk


@pytest.mark.parametrize("action", [Action.TERMINATE, Action.REWIND, Action.PURGE])
def test_a_grave_act_needs_a_reason(make_job, action):
    with pytest.raises(PayloadRejected, match="reason"):
        make_job(action, reason="  ")


@pytest.mark.parametrize(
    "action, parameters, told",
    [
        (Action.REWIND, {"recursive": True}, "takes no recursive"),
        (Action.RAISE_EVENT, {}, "event name is empty"),
        (Action.RAISE_EVENT, {"event_name": "a", "event_data": object()}, "event 'a'"),
        (Action.SET_TAGS, {}, "No tag is named"),
        (Action.SET_TAGS, {"tags": {"a": "b"}, "remove_tags": ["a"]}, "both set and removed"),
        (Action.SUSPEND, {"tags": {"a": "b"}}, "takes no tags"),
    ],
)
def test_what_an_act_cannot_use_is_refused(action, parameters, told):
    with pytest.raises(PayloadRejected, match=told):
        checked_parameters(action, **parameters)


@pytest.mark.parametrize("ids", [(), tuple(str(number) for number in range(1_001)), ("a\x00",)])
def test_named_instances_are_some_and_not_too_many(ids):
    with pytest.raises(PayloadRejected):
        Selection.of_ids(ids)


def test_a_preview_counts_what_the_job_would_reach(ada, django_assert_num_queries):
    for number in range(30):
        rows.instance(f"order-{number}", minutes=number)
    rows.instance("ended", status="Completed")

    ada.has_perm("orchestrations.view_instance")  # fills the cache of rights
    with django_assert_num_queries(3):
        preview = jobs.preview(ada, rows.HUB, Action.TERMINATE, Selection(InstanceFilter()))

    assert (str(preview.count), preview.left_out) == ("30", 1)
    assert [row.instance_id for row in preview.first] == [f"order-{number}" for number in range(29, 9, -1)]


def test_a_batch_costs_the_same_for_few_and_many(make_job, runner):
    def statements(instances: int) -> int:
        Instance.objects.all().delete()
        for number in range(instances):
            rows.instance(f"order-{number}", minutes=number)
        make_job(Action.TERMINATE)
        with CaptureQueriesContext(connection) as captured:
            runner.run_batch()
        return len(captured)

    assert statements(3) == statements(40) <= 25
    assert BulkJob.objects.latest("pk").done == 40
