"""Acts on many instances over HTTP: previewed, made a job, followed, stopped."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User

from orchestrations.bulk.runner import BulkRunner
from orchestrations.models import AuditEntry, BulkJob, Grant, InboxMessage, Instance
from orchestrations.store import get_store
from tests import rows

URL = "/api/batches/"


@pytest.fixture
def operator(caller):
    return caller(
        "view_instance", "terminate_instance", "suspend_instance", "raise_event", "tag_instance", name="grace"
    )


def finish() -> None:
    while BulkRunner(get_store()).run_batch():
        pass


def test_a_dry_run_tells_what_would_be_reached_and_does_nothing(operator):
    for number in range(3):
        rows.instance(f"order-{number}", minutes=number)
    rows.instance("ended", status="Completed")

    answer = operator.post(URL, {"action": "terminate", "instances": {}, "reason": "old", "dry_run": True}, "json")

    assert answer.status_code == 200
    assert answer.json() == {
        "count": 3,
        "is_capped": False,
        "left_out": 1,
        "first_instance_ids": ["order-2", "order-1", "order-0"],
    }
    assert not BulkJob.objects.exists()


def test_a_job_is_made_followed_and_told_instance_by_instance(operator):
    rows.instance("one")
    rows.instance("ended", status="Completed")

    made = operator.post(URL, {"action": "suspend", "instances": ["one", "ended"], "reason": "outage"}, "json")

    assert made.status_code == 202
    assert made["Location"] == made.json()["url"]
    assert (made.json()["state"], made.json()["total"]) == ("Pending", None)
    finish()
    job = operator.get(made["Location"]).json()
    assert (job["state"], job["total"], job["done"], job["skipped"], job["gone"]) == ("Completed", 2, 1, 1, 0)
    assert job["problems"] == [{"instance_id": "ended", "outcome": "skipped", "why": "It is Completed."}]
    rows_of_it = AuditEntry.objects.filter(details__job=job["id"]).order_by("pk")
    assert [(row.action == "made_job", row.via) for row in rows_of_it] == [(True, "API"), (False, "API")]


def test_a_filter_chooses_by_everything_that_a_list_knows(operator):
    parent = rows.instance("parent", name="bill")
    rows.instance("wanted", name="bill", parent=parent, tags={"team": "a"}, version="2", minutes=1)
    rows.instance("other team", name="bill", parent=parent, tags={"team": "b"}, version="2", minutes=1)
    where = {
        "status": ["Running"],
        "name": "bill",
        "parent": "parent",
        "version": "2",
        "tags": {"team": "a"},
        "created_from": "2026-03-01T12:00:30Z",
    }

    operator.post(URL, {"action": "suspend", "instances": where}, "json")
    finish()

    assert InboxMessage.objects.get().instance.instance_id == "wanted"


def test_events_and_tags_reach_many(operator):
    rows.instance("one", tags={"old": "x"})

    event = {"action": "raise_event", "instances": {}, "event_name": "paid", "event_data": {"amount": 41}}
    operator.post(URL, event, "json")
    operator.post(URL, {"action": "set_tags", "instances": ["one"], "tags": {"team": "a", "old": None}}, "json")
    finish()

    assert (InboxMessage.objects.get().name, InboxMessage.objects.get().payload) == ("paid", '{"amount":41}')
    assert Instance.objects.get().tags == {"team": "a"}


def test_what_an_event_holds_is_shown_to_who_may_see_payloads_only(operator):
    event = {"action": "raise_event", "instances": {}, "event_name": "paid", "event_data": {"secret": 41}}

    assert operator.post(URL, event, "json").json()["parameters"] == {"event_name": "paid", "event_data": None}


def test_stopping_a_job_ends_it_once(operator):
    rows.instance("one")
    url = operator.post(URL, {"action": "suspend", "instances": {}}, "json")["Location"]

    stopped = operator.post(f"{url}stop/", {"reason": "It took too many."}, "json")

    assert (stopped.status_code, stopped.json()["state"], stopped.json()["stopped_by"]) == (200, "Stopped", "grace")
    finish()
    assert not InboxMessage.objects.exists()
    again = operator.post(f"{url}stop/")
    assert (again.status_code, again.json()["code"]) == (409, "job_is_over")
    assert AuditEntry.objects.get(action="stopped_job").reason == "It took too many."


def test_a_job_is_stopped_by_nobody_who_may_not_do_the_same(operator, caller):
    url = operator.post(URL, {"action": "suspend", "instances": {}}, "json")["Location"]

    assert caller("view_instance").post(f"{url}stop/").status_code == 403


def test_a_grant_is_enough_for_a_job_over_what_it_covers(caller, operator):
    eve = caller(name="eve")
    Grant.objects.create(user=User.objects.get(username="eve"), actions=["view", "suspend"], names="bill*")
    for name in ("bill", "payroll"):
        rows.instance(f"{name}-1", name=name)
    theirs = operator.post(URL, {"action": "suspend", "instances": {"name": "nobody"}}, "json")["Location"]

    dry = eve.post(URL, {"action": "suspend", "instances": {}, "dry_run": True}, "json").json()
    made = eve.post(URL, {"action": "suspend", "instances": ["bill-1", "payroll-1"]}, "json")
    finish()

    assert dry["first_instance_ids"] == ["bill-1"]
    job = eve.get(made["Location"]).json()
    assert (job["done"], job["skipped"], job["problems"][0]["why"]) == (1, 1, "There is no such instance.")
    assert [row["id"] for row in eve.get(URL).json()["results"]] == [job["id"]]
    assert eve.post(f"{made['Location']}stop/").json()["code"] == "job_is_over"
    assert (eve.get(theirs).status_code, eve.post(f"{theirs}stop/").status_code) == (404, 404)
    assert eve.post(URL, {"action": "terminate", "instances": {}, "reason": "x"}, "json").status_code == 403
    nobody = caller(name="nobody")
    assert (nobody.get(URL).status_code, nobody.get(made["Location"]).status_code) == (403, 403)
    assert nobody.post(URL, {"action": "suspend", "instances": {}}, "json").status_code == 403


def test_an_act_needs_its_permission_also_for_a_dry_run(operator):
    for dry_run in (True, False):
        body = {"action": "purge", "instances": {}, "reason": "old", "dry_run": dry_run}
        answer = operator.post(URL, body, "json")
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_refused")


def test_a_right_lost_before_its_turn_is_missed(operator):
    rows.instance("one")
    operator.post(URL, {"action": "suspend", "instances": {}}, "json")
    User.objects.get(username="grace").user_permissions.remove(Permission.objects.get(codename="suspend_instance"))

    finish()

    assert (BulkJob.objects.get().done, BulkJob.objects.get().skipped) == (0, 1)


def test_a_repeated_request_makes_one_job(operator):
    body = {"action": "suspend", "instances": {}}

    first = operator.post(URL, body, "json", headers={"Idempotency-Key": "k1"})
    again = operator.post(URL, body, "json", headers={"Idempotency-Key": "k1"})

    assert first.json()["id"] == again.json()["id"]
    assert BulkJob.objects.count() == 1


@pytest.mark.parametrize(
    "body, path",
    [
        ({}, "$.action"),
        ([], "$.action"),
        ({"action": "delete_everything", "instances": {}}, "$.action"),
        ({"action": "suspend"}, "$.instances"),
        ({"action": "suspend", "instances": "one"}, "$.instances"),
        ({"action": "suspend", "instances": []}, "$.instances"),
        ({"action": "suspend", "instances": {"status": ["Gone"]}}, "$.instances.status"),
        ({"action": "suspend", "instances": {"colour": "red"}}, "$.instances.colour"),
        ({"action": "terminate", "instances": {}}, "$.reason"),
        ({"action": "terminate", "instances": {}, "reason": " "}, "$.reason"),
        ({"action": "rewind", "instances": {}, "reason": "x", "recursive": True}, "$.recursive"),
        ({"action": "raise_event", "instances": {}}, "$.event_name"),
        ({"action": "set_tags", "instances": {}, "tags": {}}, "$.tags"),
    ],
)
def test_what_is_no_batch_is_refused_with_the_place(operator, body, path):
    answer = operator.post(URL, body, "json")

    assert answer.status_code == 400
    assert any(error["path"].startswith(path) for error in answer.json()["errors"]), answer.json()
    assert not BulkJob.objects.exists()


def test_jobs_are_listed_in_pages(operator):
    for _ in range(3):
        operator.post(URL, {"action": "suspend", "instances": {}}, "json")

    first = operator.get(URL, {"limit": 2}).json()
    second = operator.get(first["next"]).json()

    ids = [job["id"] for job in first["results"] + second["results"]]
    assert ids == sorted(ids, reverse=True) and len(ids) == 3
    assert operator.get(f"{URL}999999/").status_code == 404


def test_tags_of_one_instance_are_patched(operator):
    rows.instance("one", tags={"team": "a", "old": "x"})

    answer = operator.patch("/api/instances/one/tags/", {"tags": {"owner": "grace", "old": None}}, "json")

    assert answer.json() == {"tags": {"team": "a", "owner": "grace"}}
    assert operator.patch("/api/instances/two/tags/", {"tags": {"a": "b"}}, "json").status_code == 404
    assert operator.patch("/api/instances/one/tags/", {"tags": {"a": 1}}, "json").status_code == 400
    assert operator.patch("/api/instances/one/tags/", {"tags": {"a\n": ""}}, "json").status_code == 400
