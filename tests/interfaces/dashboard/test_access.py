"""Who may see and do what; and that nothing happens by looking."""

from __future__ import annotations

import html
import re

import pytest
from django.core import serializers
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from orchestrations.models import AuditEntry, Grant, InboxMessage, Instance, OpenWait
from tests import rows
from tests.functions import registered

ACTS = {
    "raise": ("Running", {"name": "go", "payload": "{}"}),
    "suspend": ("Running", {"reason": "because"}),
    "resume": ("Suspended", {"reason": "because"}),
    "terminate": ("Running", {"reason": "because"}),
    "rewind": ("Failed", {"reason": "because"}),
    "purge": ("Completed", {"reason": "because", "confirm": "one"}),
}
PAGES = (
    "/hubs/default/instances/",
    "/hubs/default/instances/rows/",
    "/hubs/default/instances/tick/",
    "/hubs/default/instances/names/",
    "/hubs/default/go/?id=one",
    "/hubs/default/i/one/",
    "/hubs/default/i/one/live/",
    "/hubs/default/i/one/tick/",
    "/hubs/default/i/one/answers/",
    "/hubs/default/i/one/history/",
    "/hubs/default/i/one/children/",
    "/hubs/default/i/one/io/",
    "/hubs/default/i/one/audit/",
)


def act_url(slug: str, instance_id: str = "one") -> str:
    return reverse("dashboard:act", args=["default", instance_id, slug])


def everything() -> list[str]:
    models = (Instance, InboxMessage, OpenWait, AuditEntry)
    return [serializers.serialize("json", model.objects.order_by("pk")) for model in models]


@pytest.mark.parametrize("slug", ACTS)
@pytest.mark.parametrize("role, expected", [("anonymous", 401), ("viewer", 403), ("approver", 403), ("operator", 302)])
def test_an_act_needs_its_right(sign_in, slug, role, expected):
    status, form = ACTS[slug]
    rows.instance("one", status=status)
    before = everything()

    response = sign_in(role).post(act_url(slug), form)

    assert response.status_code == expected
    assert (everything() != before) == (role == "operator")
    assert AuditEntry.objects.count() == (role == "operator")


@pytest.mark.parametrize("slug", ACTS)
def test_a_missing_right_is_named(viewer, slug):
    rows.instance("one", status=ACTS[slug][0])

    response = viewer.get(act_url(slug))

    assert response.status_code == 403
    assert "orchestrations." in response.text


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_who_may_view(sign_in, path):
    rows.instance("one")

    assert sign_in("viewer").get(path).status_code in (200, 204, 302)
    assert sign_in("approver").get(path).status_code == 403
    anonymous = sign_in("anonymous").get(path)
    assert anonymous.status_code == 302
    assert anonymous["Location"].startswith("/accounts/login/?next=/hubs/")


def test_a_part_of_a_page_tells_who_is_signed_out_and_leaves_the_page_alone(client, db):
    response = client.get("/hubs/default/instances/tick/", headers={"HX-Request": "true"})

    assert response.status_code == 401
    assert not [name for name in response.headers if name.startswith("HX-")]


def test_a_form_of_somebody_who_was_signed_out_is_kept_until_they_sign_in(operator, client):
    rows.instance("one")
    typed = {"reason": "vendor outage <b>"}

    asked = client.post(act_url("suspend"), typed)
    wrong = client.post(act_url("suspend"), {**typed, "username": "operator", "password": "no", "sign-in-again": "1"})

    assert (asked.status_code, wrong.status_code) == (401, 401)
    assert 'name="reason" value="vendor outage &lt;b&gt;"' in asked.text
    assert "do not match" in wrong.text
    assert not AuditEntry.objects.exists()
    right = {**typed, "username": "operator", "password": "open-sesame", "sign-in-again": "1"}
    assert client.post(act_url("suspend"), right).status_code == 302
    assert (AuditEntry.objects.get().actor_name, AuditEntry.objects.get().reason) == ("operator", "vendor outage <b>")


@pytest.mark.parametrize(
    "login_url, goes_to",
    [
        ("/sso/start", "/sso/start?next=/hubs/default/instances/%3Fq%3Dname%253Ax"),
        ("/sso/start?tenant=a", "/sso/start?tenant=a&next=/hubs/default/instances/%3Fq%3Dname%253Ax"),
        (
            "https://id.example/in",
            "https://id.example/in?next=http%3A//testserver/hubs/default/instances/%3Fq%3Dname%253Ax",
        ),
        ("http://testserver/in", "http://testserver/in?next=/hubs/default/instances/%3Fq%3Dname%253Ax"),
        ("admin:login", "/admin/login/?next=/hubs/default/instances/%3Fq%3Dname%253Ax"),
    ],
)
def test_whoever_is_signed_out_is_led_to_the_login_url_whatever_it_is(client, settings, db, login_url, goes_to):
    settings.LOGIN_URL = login_url

    assert client.get("/hubs/default/instances/", {"q": "name:x"})["Location"] == goes_to


@pytest.mark.parametrize("login_url", ["https://id.example/in", "/nowhere/", "/healthz"])
def test_a_form_waits_for_who_signs_in_somewhere_else(operator, client, settings, login_url):
    settings.LOGIN_URL = login_url
    rows.instance("one")
    typed = {"reason": "vendor outage <b>"}

    asked = client.post(act_url("suspend"), typed)

    assert asked.status_code == 401
    assert 'name="reason" value="vendor outage &lt;b&gt;"' in asked.text
    assert f'href="{login_url}?next=' in asked.text
    assert 'name="password"' not in asked.text
    too_soon = client.post(act_url("suspend"), {**typed, "sign-in-again": "1"})
    assert (too_soon.status_code, "You are still signed out." in too_soon.text) == (401, True)
    assert operator.post(act_url("suspend"), {**typed, "sign-in-again": "1"}).status_code == 302
    assert AuditEntry.objects.get().reason == "vendor outage <b>"


def test_pages_need_no_pages_of_the_sites_own_to_sign_in_and_out(viewer, settings):
    settings.ROOT_URLCONF = "tests.interfaces.dashboard.urls_without_accounts"
    settings.LOGIN_URL = "https://id.example/in"

    assert viewer.get("/hubs/default/instances/").status_code == 200


def test_who_signs_in_with_a_form_may_do_no_more_than_before(approver, client):
    rows.instance("one")

    refused = client.post(
        act_url("suspend"), {"username": "approver", "password": "open-sesame", "sign-in-again": "1", "reason": "x"}
    )

    assert refused.status_code == 403
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("slug", ACTS)
def test_every_post_needs_its_csrf_token(operator, slug):
    status, form = ACTS[slug]
    rows.instance("one", status=status)
    strict = Client(enforce_csrf_checks=True, headers={"HX-Request": "true"})
    strict.cookies = operator.cookies
    before = everything()

    assert strict.post(act_url(slug), form).status_code == 403
    assert everything() == before


def test_looking_changes_nothing(operator):
    instance = rows.instance("one")
    wait = rows.wait(instance, title="May I?")
    before = everything()

    for path in (*PAGES, *(act_url(slug) for slug in ACTS), f"/approvals/default/one/{wait.pk}/", "/approvals/", "/"):
        operator.get(path)
        operator.head(path)

    assert everything() == before


def test_what_is_unknown_is_not_found(operator):
    rows.instance("one")

    for path in (
        "/hubs/default/i/two/",
        "/hubs/default/i/two/do/terminate/",
        "/hubs/default/i/one/no-such-tab/",
        "/hubs/default/i/one/e/1/99/",
        "/hubs/default/i/one/do/explode/",
        "/hubs/elsewhere/instances/",
        "/hubs/default/instances/?cursor=forged",
        "/approvals/default/two/1/",
    ):
        assert operator.get(path).status_code == 404, path


def test_an_instance_of_another_hub_is_not_found_here(operator):
    rows.instance("theirs", hub="other")

    assert operator.get("/hubs/default/i/theirs/").status_code == 404
    assert operator.get("/hubs/other/i/theirs/").status_code == 200


def test_payloads_need_a_permission_of_their_own(viewer, operator):
    rows.instance("one", input='{"customer": "canary"}', status="Completed", output='"canary"')

    assert "canary" not in viewer.get("/hubs/default/i/one/io/").text
    assert viewer.get("/hubs/default/i/one/download/input.json").status_code == 403
    assert "canary" in operator.get("/hubs/default/i/one/io/").text
    file = operator.get("/hubs/default/i/one/download/input.json")
    assert file.json() == {"customer": "canary"}
    assert file["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "target", ["//evil.example/", "https://evil.example/", "\\\\evil.example", "javascript:alert(1)"]
)
def test_the_theme_switch_leads_nowhere_else(client, db, target):
    response = client.post("/theme/", {"theme": "dark", "next": target})

    assert response["Location"] == "/"
    assert response.cookies["theme"].value == "dark"


def test_the_theme_is_rendered_by_the_server(viewer):
    assert 'data-theme="system"' in viewer.get("/hubs/default/instances/").text
    viewer.cookies["theme"] = "dark"
    assert 'data-theme="dark"' in viewer.get("/hubs/default/instances/").text
    viewer.cookies["theme"] = '"><script>'
    assert 'data-theme="system"' in viewer.get("/hubs/default/instances/").text


def test_what_somebody_saw_is_kept_in_no_cache(viewer):
    response = viewer.get("/hubs/default/instances/")

    assert "no-store" in response["Cache-Control"]
    assert "script-src 'self'" in response["Content-Security-Policy"]


def navigation(page: str) -> dict[str, str]:
    """The links of the main navigation, by their words."""
    nav = re.search(r'<nav class="nav".*?</nav>', page, re.DOTALL)[0]
    return {
        re.sub(r"<[^>]+>|\s+", " ", words).strip(): html.unescape(address)
        for address, words in re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', nav, re.DOTALL)
    }


EVERYBODY = {"Approvals", "Preferences"}
NARROWED = {"Instances", "Entities", "Bulk jobs"}
WHOLE = NARROWED | {"Overview", "Flows", "Workers", "Dead letters", "Retention"}


@pytest.mark.parametrize(
    ("role", "actions", "offered"),
    [
        ("viewer", [], WHOLE),
        ("viewer", ["start"], WHOLE | {"Start an instance"}),
        ("starter", [], WHOLE | {"Start an instance"}),
        ("approver", [], set()),
        ("approver", ["start"], {"Start an instance"}),
        ("approver", ["view"], NARROWED),
        ("approver", ["view", "start", "terminate"], NARROWED | {"Start an instance"}),
    ],
)
def test_the_navigation_offers_what_is_open_to_the_reader_and_no_more(sign_in, role, actions, offered):
    browser = sign_in(role)
    if actions:
        Grant.objects.create(user_id=browser.session["_auth_user_id"], actions=actions, names="bill")
        cache.clear()  # where readers are remembered
    with registered():
        first = browser.get("/hubs/default/unknown/")  # a page that there is not has the navigation too
        links = navigation(first.text)
        answers = {words: browser.get(address).status_code for words, address in links.items()}

    assert set(links) == offered | EVERYBODY
    assert set(answers.values()) == {200}


def test_a_grant_opens_the_page_of_its_orchestrator_and_no_other(approver):
    Grant.objects.create(user_id=approver.session["_auth_user_id"], actions=["view"], names="bill")
    rows.instance("one", name="bill")
    rows.instance("two", name="echo")
    parts = ("", "flow-tick/", "flow-regions/numbers/")

    own = [approver.get(f"/hubs/default/flows/of/bill/{part}").status_code for part in parts]
    others = [approver.get(f"/hubs/default/flows/of/echo/{part}").status_code for part in parts]

    assert (own, others) == ([200, 200, 200], [403, 403, 403])


def test_starting_like_an_instance_is_offered_for_the_names_of_a_grant(approver):
    Grant.objects.create(user_id=approver.session["_auth_user_id"], actions=["view"], names="*")
    Grant.objects.create(user_id=approver.session["_auth_user_id"], actions=["start"], names="bill")
    rows.instance("one", name="bill")
    rows.instance("two", name="echo")

    offered = ["Start like this" in approver.get(f"/hubs/default/i/{name}/").text for name in ("one", "two")]

    assert offered == [True, False]


def test_what_is_not_there_is_named_and_can_be_looked_for(viewer, approver):
    page = viewer.get("/hubs/default/i/no-such/")

    assert page.status_code == 404
    assert "no-such" in re.search(r"<h1>There is nothing here</h1>\s*<p>([^<]*)", page.text)[1]
    assert 'name="id" id="find" class="grow" maxlength="256" value="no-such"' in page.text
    assert 'id="find"' not in approver.get("/hubs/unknown/i/no-such/").text
    assert navigation(viewer.get("/hubs/unknown/").text)["Overview"] == "/hubs/default/"
