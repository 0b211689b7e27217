"""Keys and capabilities: who gets in, and that no URL that is handed out holds the key."""

from __future__ import annotations

import base64
import re

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.core.events import EventType
from orchestrations.limits import CAPABILITY_CLOCK_SECONDS
from orchestrations.models import ApiKey, AuditEntry, InboxMessage, Instance
from tests import rows
from tests.interfaces.management_api.conftest import BASE, SYSTEM_KEY, Caller

LINKS = {
    "statusQueryGetUri": ("GET", "status"),
    "sendEventPostUri": ("POST", "raiseEvent"),
    "terminatePostUri": ("POST", "terminate"),
    "rewindPostUri": ("POST", "rewind"),
    "purgeHistoryDeleteUri": ("DELETE", "purge"),
    "restartPostUri": ("POST", "restart"),
    "suspendPostUri": ("POST", "suspend"),
    "resumePostUri": ("POST", "resume"),
}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [{"x-functions-key": SYSTEM_KEY}, basic("", SYSTEM_KEY), basic("any", SYSTEM_KEY), basic(SYSTEM_KEY, "")],
    ids=["header", "password", "user and password", "user"],
)
def test_the_key_may_come_in_a_header(stranger, headers):
    rows.instance("order", status="Completed")

    assert stranger.get("instances/order", headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["code", "Code", "CODE"])
def test_the_key_may_come_in_the_query(stranger, name):
    rows.instance("order", status="Completed")

    assert stranger.get("instances/order", query_params={name: SYSTEM_KEY}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-functions-key": "wrong"},
        {"x-functions-key": SYSTEM_KEY.upper()},
        {"x-functions-key": "\u00e9"},
        basic("any", "wrong"),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic /w=="},
        {"Authorization": f"Bearer {SYSTEM_KEY}"},
    ],
)
@pytest.mark.parametrize("path", ["instances", "instances/order", "orchestrators/echo", "nonsense", ""])
def test_without_the_key_every_path_is_closed(stranger, path, headers):
    rows.instance("order", status="Completed")

    response = stranger.get(path, headers=headers)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert "key" in response.json()["Message"]


def test_a_session_does_not_let_anybody_in(stranger):
    stranger._client.force_login(User.objects.create_superuser("root"))

    assert stranger.get("instances").status_code == 401


@pytest.mark.parametrize("headers", [{}, {"x-functions-key": ""}, {"x-functions-key": "None"}])
def test_a_site_without_a_key_lets_nobody_in(stranger, settings, headers):
    settings.DURABLE = {}

    for method, path in (("GET", "instances"), ("POST", "orchestrators/echo"), ("DELETE", "instances/x")):
        response = stranger.call(method, path, headers=headers)
        assert response.status_code == 401
        assert "DURABLE_SYSTEM_KEY" in response.json()["Message"]


@pytest.fixture
def links(api) -> dict[str, str]:
    return api.post("orchestrators/echo/order").json()


def use(caller: Caller, method: str, link: str):
    return caller.call(method, link.replace("{eventName}", "go"), content_type="application/json")


@pytest.mark.parametrize("name", list(LINKS))
def test_each_link_does_what_it_says_without_a_key(stranger, links, name):
    method, verb = LINKS[name]
    rows.Instance.objects.update(status={"rewind": "Failed", "purge": "Completed"}.get(verb, "Running"))

    assert use(stranger, method, links[name]).status_code in (200, 202)


@pytest.mark.parametrize("verb", [verb for _, verb in LINKS.values()])
@pytest.mark.parametrize("name", list(LINKS))
def test_a_link_opens_its_own_verb_only(stranger, links, name, verb):
    code = re.search(r"code=([^&]+)", links[name])[1]
    other = next(link for other, link in links.items() if LINKS.get(other, ("", ""))[1] == verb)
    method, own = next(pair for pair in LINKS.values() if pair[1] == verb)

    response = use(stranger, method, re.sub(r"code=[^&]+", f"code={code}", other))

    assert (response.status_code == 403) is (LINKS[name][1] != own)


def test_a_link_opens_its_own_instance_only(stranger, links):
    rows.instance("other")

    assert use(stranger, "POST", links["terminatePostUri"].replace("/order/", "/other/")).status_code == 403
    assert not InboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "orchestrators/echo"), ("GET", "instances"), ("DELETE", "instances")]
)
def test_a_link_opens_nothing_without_an_instance(stranger, links, method, path):
    code = re.search(r"code=([^&]+)", links["statusQueryGetUri"])[1]

    assert stranger.call(method, f"{path}?code={code}").status_code == 403


def test_an_altered_link_is_refused(stranger, links):
    assert use(stranger, "GET", links["statusQueryGetUri"][:-1] + "~").status_code == 401


def test_a_link_ends_after_a_day(stranger, links):
    with time_machine.travel(timezone.now() + timezone.timedelta(hours=23, minutes=59)):
        assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 202
    with time_machine.travel(timezone.now() + timezone.timedelta(hours=24, minutes=1)):
        assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 401


def test_a_new_key_ends_all_links(stranger, links, settings):
    settings.DURABLE = {"SYSTEM_KEY": "another"}

    assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 401


def test_the_key_is_in_no_answer(stranger):
    rows.instance("other")
    key = {"code": SYSTEM_KEY}
    answers = [
        stranger.call("POST", f"orchestrators/echo/order?code={SYSTEM_KEY}"),
        stranger.get("instances/other", query_params=key),
        stranger.get("instances/unknown", query_params=key),
        stranger.get("nonsense", query_params=key),
        stranger.get("instances", query_params=key),
        stranger.call("POST", "instances/other/restart", query_params=key),
    ]
    for answer in answers:
        told = f"{answer.headers}{answer.content.decode()}"
        assert SYSTEM_KEY not in told
        assert SYSTEM_KEY.replace(" ", "+") not in told
        assert SYSTEM_KEY.replace(" ", "%20") not in told
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


def test_polling_does_not_prolong_a_link(stranger, links):
    code = re.search(r"code=([^&]+)", links["statusQueryGetUri"])[1]

    location = use(stranger, "GET", links["statusQueryGetUri"]).headers["Location"]

    assert f"code={code}" in location


def test_the_audit_trail_tells_the_key_from_a_link(api, stranger, links):
    use(stranger, "POST", links["suspendPostUri"])
    api.post("instances/order/resume")

    assert list(AuditEntry.objects.order_by("id").values_list("action", "actor_name", "via")) == [
        ("start", "system key", "Management API"),
        ("suspend", "management link", "Management API"),
        ("resume", "system key", "Management API"),
    ]


def test_every_verb_of_a_link_is_known():
    assert {verb for _, verb in LINKS.values()} <= set(Verb)
    assert BASE.startswith("/runtime/")


# Links and the generations of an id


def test_a_link_does_not_open_what_was_started_later_under_its_id(stranger, links):
    later = timezone.now() + timezone.timedelta(seconds=CAPABILITY_CLOCK_SECONDS + 5)
    rows.Instance.objects.update(created_at=later)  # as a new start under the same id leaves it

    for name, (method, verb) in LINKS.items():
        response = use(stranger, method, links[name])
        assert response.status_code == 403, verb
        assert "earlier instance" in response.json()["Message"]
    assert not InboxMessage.objects.exists()


def test_a_new_start_under_the_same_id_takes_the_links_of_the_old_one(api, stranger, links):
    rows.Instance.objects.update(status="Completed")
    with time_machine.travel(timezone.now() - timezone.timedelta(hours=1)):
        old = api.post("orchestrators/echo/other").json()
    rows.Instance.objects.update(status="Completed")
    new = api.post("orchestrators/echo/other").json()

    assert use(stranger, "POST", old["terminatePostUri"]).status_code == 403
    assert use(stranger, "POST", new["terminatePostUri"]).status_code == 202


def test_a_rewound_instance_keeps_its_links(stranger, links):
    rows.Instance.objects.update(execution=2, status="Running")

    assert use(stranger, "POST", links["suspendPostUri"]).status_code == 202


@pytest.mark.parametrize("request_, status", [(None, 202), ({"groups": ["boss"]}, 403), ({"permission": "a.b"}, 403)])
def test_a_link_does_not_answer_for_the_people_who_are_asked(api, stranger, links, request_, status):
    rows.wait(Instance.objects.get(), "Go", title="May it go?", request=request_)

    assert use(stranger, "POST", links["sendEventPostUri"]).status_code == status
    assert InboxMessage.objects.exists() is (status == 202)
    assert use(stranger, "POST", links["sendEventPostUri"].replace("{eventName}", "else")).status_code == 202
    assert api.post("instances/order/raiseEvent/go", "1").status_code == 202


# API keys


def keyed(text: str) -> Caller:
    return Caller(key=text)


@pytest.mark.parametrize("place", ["header", "code", "user", "password"])
def test_an_api_key_may_come_wherever_the_system_key_may(stranger, place):
    rows.instance("order", status="Completed")
    _, text = api_keys.issue("robot", [Verb.STATUS])
    options = {
        "header": {"headers": {"x-functions-key": text}},
        "code": {"query_params": {"code": text}},
        "user": {"headers": basic(text, "")},
        "password": {"headers": basic("any", text)},
    }[place]

    assert stranger.get("instances/order", **options).status_code == 200


@pytest.mark.parametrize("verb", [Verb.STATUS, Verb.SUSPEND])
def test_an_api_key_opens_its_verbs_only(db, verb):
    rows.instance("order")
    _, text = api_keys.issue("robot", [verb])
    robot = keyed(text)

    assert (robot.get("instances/order").status_code == 202) is (verb is Verb.STATUS)
    assert (robot.post("instances/order/suspend").status_code == 202) is (verb is Verb.SUSPEND)
    assert robot.get("instances").status_code == 403
    assert robot.post("orchestrators/echo").status_code == 403
    assert robot.delete("instances?createdTimeFrom=2026-01-01").status_code == 403


@pytest.mark.parametrize(("hub", "expected"), [("", 200), ("default", 200), ("other", 403)])
def test_an_api_key_opens_its_hub_only(db, hub, expected):
    _, text = api_keys.issue("robot", hub=hub)

    assert keyed(text).get("instances").status_code == expected


def test_an_api_key_ends_at_its_names(db):
    rows.instance("order", name="echo", status="Completed")
    rows.instance("secret", name="payroll", status="Completed")
    _, text = api_keys.issue("robot", names="ec*")
    robot = keyed(text)

    assert [row["instanceId"] for row in robot.get("instances").json()] == ["order"]
    assert robot.get("instances/order").status_code == 200
    assert robot.get("instances/secret").status_code == 403
    assert robot.post("instances/secret/restart").status_code == 403
    assert robot.post("instances/secret/fork?step=1").status_code == 403
    assert robot.post("orchestrators/settle_expense").status_code == 403
    assert robot.get("entities/salary/a").status_code == 403
    assert robot.get("entities/echoes/a").status_code == 404
    assert robot.get("instances/nobody").status_code == 404
    assert robot.delete("instances?createdTimeFrom=2020-01-01").json() == {"instancesDeleted": 1}
    assert [row.instance_id for row in Instance.objects.all()] == ["secret"]


def test_payloads_are_withheld_from_a_key_that_may_not_read_them(db):
    order = rows.instance("order", input='"secret"', output='"secret"', custom_status='"secret"', status="Completed")
    failed = rows.instance("failed", failure='{"errorMessage":"secret"}', status="Failed")
    for instance in (order, failed):
        rows.history(
            instance,
            (EventType.EXECUTION_STARTED, {"payload": '"secret"'}),
            (EventType.TASK_FAILED, {"payload": '{"errorMessage":"secret"}', "task_id": 1}),
        )
    rows.entity("@counter@a", '"secret"')
    _, text = api_keys.issue("robot", [verb for verb in Verb if verb is not Verb.READ_PAYLOADS])
    robot = keyed(text)

    everything = "showHistory=true&showHistoryOutput=true&showInput=true"
    for path in (
        f"instances/order?{everything}",
        f"instances/failed?{everything}",
        "instances",
        "entities/counter/a",
        "entities?fetchState=true",
    ):
        withheld, shown = robot.get(path), Caller().get(path)
        assert "secret" in shown.text, path
        assert "X-Durable-Payloads" not in shown.headers
        assert (withheld.status_code, "secret" in withheld.text) == (shown.status_code, False), path
        assert withheld.headers["X-Durable-Payloads"] == "withheld"


@pytest.mark.parametrize("end", ["expired", "revoked", "deleted", "other"])
def test_an_ended_api_key_opens_nothing_and_neither_do_its_links(stranger, settings, end):
    _, text = api_keys.issue("robot", expires_at=timezone.now() + timezone.timedelta(hours=1))
    links = keyed(text).post("orchestrators/echo/order").json()
    assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 202

    match end:
        case "expired":
            ApiKey.objects.update(expires_at=timezone.now())
        case "revoked":
            ApiKey.objects.update(revoked_at=timezone.now())
        case "deleted":
            ApiKey.objects.all().delete()
        case "other":
            text = text[:-1] + ("a" if text[-1] != "a" else "b")

    assert keyed(text).get("instances").status_code == 401
    assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == (202 if end == "other" else 401)


def test_the_links_of_an_api_key_do_no_more_than_the_key(stranger):
    _, text = api_keys.issue("robot", [Verb.START, Verb.STATUS])
    links = keyed(text).post("orchestrators/echo/order").json()

    assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 202
    assert use(stranger, "POST", links["terminatePostUri"]).status_code == 403
    assert not InboxMessage.objects.exists()


def test_an_api_key_works_without_a_system_key(stranger, settings):
    settings.DURABLE = {}
    _, text = api_keys.issue("robot")

    response = keyed(text).post("orchestrators/echo/order")

    assert response.status_code == 202
    assert use(stranger, "GET", response.headers["Location"]).status_code == 202


def test_the_audit_trail_names_the_api_key(db):
    _, text = api_keys.issue("robot")

    keyed(text).post("orchestrators/echo/order")

    assert AuditEntry.objects.get().actor_name == "API key robot"


def test_an_api_key_may_be_limited_to_so_many_requests_a_minute(stranger):
    _, text = api_keys.issue("limited", requests_per_minute=3)
    _, other = api_keys.issue("other", requests_per_minute=3)
    robot = keyed(text)
    with time_machine.travel(timezone.now().replace(second=1), tick=False) as traveller:
        links = robot.post("orchestrators/echo/order").json()
        assert robot.get("instances").status_code == 200
        assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 202

        refused = robot.post("orchestrators/echo/second")
        assert refused.status_code == 429
        assert "3 requests a minute" in refused.json()["Message"]
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert use(stranger, "GET", links["statusQueryGetUri"]).status_code == 429
        assert keyed(other).get("instances").status_code == 200

        traveller.shift(int(refused.headers["Retry-After"]))
        assert robot.get("instances").status_code == 200
    assert not Instance.objects.filter(instance_id="second").exists()


def test_an_api_key_is_in_no_answer(db):
    row, text = api_keys.issue("robot")
    robot = Caller(key=None)
    for answer in (
        robot.call("POST", "orchestrators/echo/order", query_params={"code": text}),
        robot.get("instances/order", query_params={"code": text}),
        robot.get("nonsense", query_params={"code": text}),
    ):
        told = f"{answer.headers}{answer.content.decode()}"
        assert text not in told
        assert row.digest not in told


def test_only_a_digest_of_an_api_key_is_kept(db):
    row, text = api_keys.issue("robot")

    kept = ApiKey.objects.values().get()
    assert not any(text in str(value) for value in kept.values())
    assert text.startswith(row.prefix)
    assert len(text) - len(row.prefix) > 30
