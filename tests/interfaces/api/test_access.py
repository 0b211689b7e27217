"""Who gets in: nobody without signing in, and nobody without the right."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from rest_framework.test import APIClient

from orchestrations.errors import ConfigurationError
from orchestrations.interfaces.api.urls import urlpatterns
from tests import rows

VALUES = {
    "instance_id": "order",
    "event_name": "paid",
    "name": "counter",
    "key": "a",
    "task_id": "1",
    "act": "claim",
    "batch_id": "1",
    "webhook_id": "1",
    "delivery_id": "1",
}
ADDRESSES = [
    re.sub(r"<\w+:(\w+)>", lambda part: VALUES[part[1]], f"/api/{pattern.pattern}").replace(r"[\s\S]*/\Z", "nothing/")
    for pattern in urlpatterns
    if pattern.name not in {"docs", "redoc", "with_slash"}
]
OPEN = {"/api/", "/api/nothing/", "/api/schema/"} | {one for one in ADDRESSES if "/approvals/" in one}
METHODS = ["get", "post", "put", "patch", "delete"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_gets_in_nowhere(db, address, method):
    response = getattr(APIClient(), method)(address)

    assert response.status_code == 401
    assert "WWW-Authenticate" in response.headers


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", METHODS)
def test_who_holds_no_permission_does_nothing(caller, address, method):
    rows.instance("order")
    response = getattr(caller(), method)(address)

    allowed = {403, 405} if address not in OPEN else {200, 404, 400, 405}
    if (method, address) == ("post", "/api/batches/"):
        allowed = {400}  # which right it takes depends on the body
    assert response.status_code in allowed, response.content
    assert not User.objects.filter(is_superuser=True).exists()


def test_a_session_acts_only_with_a_csrf_token(db):
    User.objects.create_superuser("root")
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(User.objects.get())

    assert client.get("/api/instances/").status_code == 200
    assert client.post("/api/instances/", {"orchestrator": "echo"}, format="json").status_code == 403


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_the_pages_that_show_the_schema_are_for_people_who_are_signed_in(client, django_user_model, page, settings):
    settings.ROOT_URLCONF = "durable_admin.urls"
    assert client.get(f"/api/{page}/").status_code == 302

    client.force_login(django_user_model.objects.create_user("ada"))
    response = client.get(f"/api/{page}/")

    assert response.status_code == 200
    assert "http" not in response.headers["Content-Security-Policy"], "nothing comes from elsewhere"
    assert "//" not in "".join(re.findall(r'(?:href|src)="([^"]*)"', response.text)), "nor is it asked for"
    assert 'rel="icon"' in response.text


def test_a_page_for_browsers_has_its_own_policy_and_an_answer_for_programs_the_sites(api, settings):
    settings.ROOT_URLCONF = "durable_admin.urls"
    page = api.get("/api/instances/", headers={"Accept": "text/html"})
    answer = api.get("/api/instances/")

    assert "unsafe-inline" in page.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


def test_an_address_that_is_none_is_a_problem_and_one_without_its_slash_is_led_there(api, settings):
    settings.ROOT_URLCONF = "durable_admin.urls"

    assert api.get("/api/nothing/").headers["Content-Type"] == "application/problem+json"
    assert api.get("/api/approvals/-1/").status_code == 404
    for method in ("GET", "POST"):
        led = api.generic(method, "/api/instances?limit=1", '{"orchestrator":"echo"}', content_type="application/json")
        assert (led.status_code, led.headers["Location"]) == (308, "/api/instances/?limit=1"), (
            "method and body are kept"
        )


def test_an_inactive_person_is_a_stranger(caller):
    api = caller("view_instance")
    User.objects.update(is_active=False)

    assert api.get("/api/instances/").status_code == 401


def test_a_database_that_is_away_is_said_so(api, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr("orchestrations.reading.queries.list_instances", fail)
    response = api.get("/api/instances/")

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("secret"), ConfigurationError("secret")], ids=["defect", "setting"]
)
def test_a_fault_of_the_site_is_a_problem_without_details_and_is_logged(api, monkeypatch, caplog, error):
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("orchestrations.reading.queries.list_instances", fail)
    response = api.get("/api/instances/")

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "secret" not in response.text
    assert "secret" in caplog.text
