"""Acts of programs on many instances: previewed, carried out by workers with the rights of that moment, stopped."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.access.permissions import Action
from orchestrations.bulk import jobs
from orchestrations.bulk.runner import BulkRunner
from orchestrations.bulk.selections import Selection
from orchestrations.limits import BULK_IDS, MEMBER_BYTES
from orchestrations.models import ApiKey, AuditEntry, BulkJob, InboxMessage, Instance
from orchestrations.reading.queries import InstanceFilter
from orchestrations.store import get_store
from tests import rows
from tests.interfaces.management_api.conftest import BASE, Caller

TOKEN = "x-ms-continuation-token"
END = {"action": "terminate", "instances": {}, "reason": "called off"}


@pytest.fixture(autouse=True)
def some(db):
    rows.instance("b1", name="bill", tags={"region": "eu"}, version="2")
    rows.instance("b2", name="bill", status="Failed", minutes=1, error="no stock")
    rows.instance("e1", name="echo", minutes=2)
    rows.instance("other", hub="other")


def post(caller: Caller, body: object, path: str = "instances:batch", **headers: str):
    return caller.post(path, body if isinstance(body, str) else json.dumps(body), headers=headers)


def caller(name: str, *verbs: Verb, **options) -> Caller:
    return Caller(api_keys.issue(name, (Verb.BATCH, Verb.LIST, *verbs), **options)[1])


def finish() -> None:
    runner = BulkRunner(get_store(rows.HUB))
    while runner.run_batch():
        pass


def reached() -> set[str]:
    return set(InboxMessage.objects.values_list("instance__instance_id", flat=True))


def test_a_job_is_made_followed_and_carried_out(api):
    made = post(api, END)

    assert made.status_code == 202
    assert made.headers["Location"] == f"http://testserver{BASE}/batches/{made.json()['id']}"
    assert (made.json()["state"], made.json()["total"], made.json()["createdBy"]) == ("Pending", None, "system key")
    assert made.json()["recursive"] is True
    finish()
    told = api.get(made.headers["Location"]).json()
    assert (told["state"], told["total"], told["done"], told["problems"]) == ("Completed", 2, 2, [])
    assert told["endedTime"].endswith("Z")
    assert reached() == {"b1", "e1"}
    audit = AuditEntry.objects.order_by("pk").values_list("action", "actor_name", "via", "instance_id", "reason")
    assert list(audit) == [
        ("made_job", "system key", "Management API", "", "called off"),
        *[("terminate", "system key", "Management API", one, "called off") for one in ("e1", "b1")],
    ]


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ({"name": "bill"}, {"b1"}),
        ({"instanceIdPrefix": "e"}, {"e1"}),
        ({"runtimeStatus": ["Running", "Failed"]}, {"b1", "e1"}),
        ({"runtimeStatus": ["Failed"]}, set()),
        ({"version": "2"}, {"b1"}),
        ({"version": ""}, {"e1"}),
        ({"tags": {"region": "eu"}}, {"b1"}),
        ({"createdTimeFrom": "2026-03-01T12:01:30Z"}, {"e1"}),
        ({"createdTimeTo": "2026-03-01T12:01:30"}, {"b1"}),
        ({"parentInstanceId": "nobody"}, set()),
        ({"error": "stock"}, set()),
        (["e1", "nobody", "other"], {"e1"}),
    ],
)
def test_instances_are_chosen_by_a_filter_or_one_by_one(api, instances, expected):
    previewed = post(api, {**END, "instances": instances, "dryRun": True})

    assert (previewed.status_code, set(previewed.json()["firstInstanceIds"])) == (200, expected)
    assert (previewed.json()["count"], previewed.json()["isCapped"]) == (len(expected), False)
    assert not BulkJob.objects.exists()
    assert not AuditEntry.objects.exists()
    assert post(api, {**END, "instances": instances}).status_code == 202
    finish()
    assert reached() == expected


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("suspend", "Running", {"b1", "e1"}),
        ("resume", "Suspended", {"b1", "e1"}),
        ("rewind", "Failed", {"b1", "b2", "e1"}),
    ],
)
def test_each_act_reaches_whose_status_allows_it(api, action, status, expected):
    Instance.objects.filter(hub=rows.HUB).exclude(instance_id="b2").update(status=status)

    assert post(api, {**END, "action": action}).status_code == 202
    finish()
    assert reached() == expected


def test_restarts_and_purges_too(api):
    for action in ("restart", "purge"):
        assert post(api, {**END, "action": action, "instances": ["b2"]}).status_code == 202
        finish()

    assert not Instance.objects.filter(instance_id="b2").exists()
    assert Instance.objects.filter(hub=rows.HUB, status="Pending", name="bill").count() == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("", "$"),
        ("{", "$"),
        ({**END, "action": "raiseEvent"}, "$.action"),
        ({**END, "instances": None}, "$.instances"),
        ({"action": "suspend"}, "$"),
        ({**END, "instances": {"names": "x"}}, "$.instances"),
        ({**END, "instances": []}, "$.instances"),
        ({**END, "instances": ["x"] * (BULK_IDS + 1)}, "$.instances"),
        ({**END, "instances": {"runtimeStatus": ["Gone"]}}, "$.instances.runtimeStatus[0]"),
        ({**END, "instances": {"createdTimeFrom": "0001-01-01T00:00:00+14:00"}}, "$.instances.createdTimeFrom"),
        ({**END, "instances": {"name": "\0"}}, "$.instances.name"),
        ({**END, "reason": " "}, "$.reason"),
        ({**END, "reason": "x" * 2_001}, "$.reason"),
        ({**END, "dryRun": "yes"}, "$.dryRun"),
        ({**END, "action": "rewind", "recursive": True}, "$"),
    ],
)
def test_what_can_not_be_meant_is_refused_and_makes_no_job(api, body, path):
    response = post(api, body)

    assert (response.status_code, response.json()["Path"]) == (400, path), response.content
    assert not BulkJob.objects.exists()


def test_a_body_is_bounded(api):
    assert post(api, {**END, "reason": "x" * MEMBER_BYTES}).status_code == 413


def test_a_repeated_request_finds_the_job_of_the_first(api):
    robot, other = caller("robot", Verb.TERMINATE), caller("other", Verb.TERMINATE)
    made = [post(one, END, **{"Idempotency-Key": "k"}).json()["id"] for one in (api, api, robot, robot, other)]

    assert made[0] == made[1] != made[2] == made[3] != made[4]
    assert AuditEntry.objects.filter(action="made_job").count() == 3


@pytest.mark.parametrize("missing", [Verb.BATCH, Verb.LIST, Verb.PURGE_MANY])
def test_a_key_needs_the_verb_of_batches_that_of_lists_and_that_of_the_act(missing):
    verbs = {Verb.BATCH, Verb.LIST, Verb.PURGE_MANY, Verb.PURGE} - {missing}
    key = Caller(api_keys.issue("robot", verbs)[1])

    for is_dry in (True, False):
        response = post(key, {**END, "action": "purge", "dryRun": is_dry})
        assert response.status_code == 403
        assert repr(missing.value) in response.json()["Message"]


def test_a_key_for_certain_names_reaches_those_alone():
    bills = caller("bills", Verb.TERMINATE, names="bi*")

    assert post(bills, {**END, "dryRun": True}).json()["firstInstanceIds"] == ["b1"]
    assert post(bills, {**END, "instances": ["e1", "b1"]}).status_code == 202
    finish()
    assert reached() == {"b1"}
    assert AuditEntry.objects.get(action="terminate").actor_name == "API key bills"


def revoke():
    ApiKey.objects.update(revoked_at=timezone.now())


def take_batches():
    ApiKey.objects.update(verbs=[Verb.LIST, Verb.TERMINATE])


@pytest.mark.parametrize("lose", [revoke, take_batches, lambda: ApiKey.objects.all().delete()])
def test_a_job_of_a_key_that_is_good_no_more_fails(lose):
    post(caller("robot", Verb.TERMINATE), END)
    lose()
    finish()

    job = BulkJob.objects.get()
    assert (job.state, job.done) == ("Failed", 0)
    assert "API key robot" in job.error
    assert not InboxMessage.objects.exists()


def test_a_key_that_has_lost_the_act_is_skipped_over():
    post(caller("robot", Verb.TERMINATE), END)
    ApiKey.objects.update(verbs=[Verb.LIST, Verb.BATCH])
    finish()

    job = BulkJob.objects.get()
    assert (job.state, job.done, job.skipped) == ("Completed", 0, 2)


def test_a_job_is_stopped_once(api):
    number = post(api, END).json()["id"]
    stopped = post(api, "", f"BATCHES/{number}/Stop/?reason=not+yet")
    again = post(api, "", f"batches/{number}/stop")

    assert (stopped.status_code, stopped.json()["state"], stopped.json()["stoppedBy"]) == (200, "Stopped", "system key")
    assert (again.status_code, again.json()["ExceptionType"]) == (409, "job_is_over")
    finish()
    assert not reached()
    entry = AuditEntry.objects.get(action="stopped_job")
    assert (entry.actor_name, entry.reason, entry.via) == ("system key", "not yet", "Management API")


def test_who_may_know_of_a_job_and_stop_it(api):
    """As with people: who sees everything may look; who made it, or may do that to everything, may stop it."""
    user = User.objects.create_superuser("ada")
    job, _ = jobs.create(
        user, rows.HUB, Action.TERMINATE, Selection(InstanceFilter()), parameters={"recursive": True}, reason="x",
        via=AuditEntry.Via.DASHBOARD,
    )  # fmt: skip
    bills = caller("bills", Verb.TERMINATE, names="bill")
    mine = post(bills, END).json()["id"]

    assert [one["id"] for one in bills.get("batches").json()] == [mine]
    assert bills.get(f"batches/{job.pk}").status_code == 404
    assert post(bills, "", f"batches/{job.pk}/stop").status_code == 404
    looker = caller("looker")
    assert looker.get(f"batches/{job.pk}").json()["createdBy"] == "ada"
    assert post(looker, "", f"batches/{job.pk}/stop").status_code == 403
    assert post(caller("ender", Verb.TERMINATE), "", f"batches/{job.pk}/stop").status_code == 200
    assert post(bills, "", f"batches/{mine}/stop").status_code == 200


def test_jobs_are_listed_newest_first_in_pages(api):
    made = [post(api, END).json()["id"] for _ in range(3)]
    first = api.get("batches?top=2")
    second = api.get("batches?top=2", headers={TOKEN: first.headers[TOKEN]})

    assert [job["id"] for job in first.json() + second.json()] == made[::-1]
    assert TOKEN not in second.headers
    assert "problems" not in first.json()[0]


def test_what_was_skipped_is_told_with_why(api):
    number = post(api, {**END, "instances": ["b2", "nobody"]}).json()["id"]
    finish()

    assert api.get(f"batches/{number}").json()["problems"] == [
        {"instanceId": "b2", "outcome": "skipped", "why": "It is Failed."},
        {"instanceId": "nobody", "outcome": "skipped", "why": "There is no such instance."},
    ]


def test_no_link_makes_or_sees_a_job(api, stranger):
    links = api.post("orchestrators/echo/linked").json()

    for name, link in links.items():
        if name != "id":
            query = link.partition("?")[2]
            assert post(stranger, END, f"instances:batch?{query}").status_code == 403
            assert stranger.get(f"batches?{query}").status_code == 403
    assert post(stranger, END).status_code == 401


@pytest.mark.parametrize("number", ["0", "x", "99999999999999999999"])
def test_an_unknown_job_is_not_found(api, number):
    assert api.get(f"batches/{number}").json()["ExceptionType"] == "batch_not_found"
    assert post(api, "", f"batches/{number}/stop").status_code == 404


def test_another_method_is_404_and_the_rpc_base_does_the_same(api):
    assert api.get("instances:batch").status_code == 404
    assert post(api, json.dumps(json.dumps(END)), "/durabletask/instances:batch").status_code == 202
