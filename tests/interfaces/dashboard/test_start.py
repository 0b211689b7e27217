"""Starting orchestrations from the dashboard: by a form made from the input's type, as JSON, and like another one."""

from __future__ import annotations

import json
import re

import pytest

from orchestrations import orchestrator
from orchestrations.models import AuditEntry, Grant, Instance
from tests import rows
from tests.functions import registered

START = "/hubs/default/start/"


@pytest.fixture(autouse=True)
def functions():
    with registered():

        @orchestrator
        def tick(context):
            """Does nothing."""
            return None

        yield


def token(page: str) -> str:
    found = re.search(r'name="token" value="(\w+)"', page)
    assert found
    return found[1]


def form_of(browser, query: str) -> dict[str, str]:
    """The hidden part of the form at that address."""
    return {"token": token(browser.get(f"{START}?{query}").text)}


def test_the_orchestrators_that_may_be_started_are_offered(operator):
    page = operator.get(START).text

    assert 'href="?name=bill"' in page
    assert "Does nothing." in page


def test_a_typed_input_is_asked_for_field_by_field(operator):
    page = operator.get(f"{START}?name=bill").text
    assert 'name="input-number"' in page and 'name="input-customer"' in page

    given = {**form_of(operator, "name=bill"), "input-number": "7", "input-customer": "ada", "tags": "team=a"}
    response = operator.post(f"{START}?name=bill", given)

    instance = Instance.objects.get()
    assert response["Location"] == f"/hubs/default/i/{instance.instance_id}/"
    assert json.loads(instance.input) == {"number": 7, "customer": "ada"}
    assert (instance.name, instance.version, instance.tags, instance.status) == ("bill", "2", {"team": "a"}, "Pending")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.via) == ("start", "operator", "Dashboard")


def test_how_it_starts_can_be_said(operator):
    given = {**form_of(operator, "name=echo"), "instance_id": "order-7", "start_at": "2036-03-01T12:00", "version": "9"}
    operator.post(f"{START}?name=echo", {**given, "input-value": "41"})

    instance = Instance.objects.get()
    assert (instance.instance_id, instance.version) == ("order-7", "9")
    assert instance.scheduled_start_at.isoformat() == "2036-03-01T12:00:00+00:00"


def test_it_starts_at_a_moment_of_the_readers_zone_which_the_form_names(operator, read_in):
    read_in(operator, "Asia/Kolkata")
    assert "Start at (Kolkata)" in operator.get(f"{START}?name=echo").text

    given = {**form_of(operator, "name=echo"), "start_at": "2036-03-01T12:00", "input-value": "41"}
    operator.post(f"{START}?name=echo", given)

    assert Instance.objects.get().scheduled_start_at.isoformat() == "2036-03-01T06:30:00+00:00"


def test_a_moment_of_the_readers_zone_that_no_row_could_tell_again_is_refused(operator, read_in):
    read_in(operator, "Asia/Kolkata")

    given = {**form_of(operator, "name=echo"), "start_at": "0001-01-01T00:00", "input-value": "41"}
    refused = operator.post(f"{START}?name=echo", given)

    assert refused.status_code == 422
    assert "outside of the years 1 to 9999" in refused.text
    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    "given, told",
    [
        ({"input-number": "x", "input-customer": "ada"}, "number"),
        ({"input-number": "7"}, "Customer"),
        ({"input-number": "7", "input-customer": "a", "instance_id": "a/b"}, "Choose another id"),
        ({"input-number": "7", "input-customer": "a", "tags": "team"}, "Line 1 is no tag"),
        ({"input-number": "7", "input-customer": "a", "start_at": "soon"}, "valid date"),
    ],
)
def test_what_does_not_fit_starts_nothing_and_keeps_what_was_typed(operator, given, told):
    response = operator.post(f"{START}?name=bill", {**form_of(operator, "name=bill"), **given})

    assert response.status_code == 422
    assert told in response.text
    assert f'value="{given["input-number"]}"' in response.text
    assert not Instance.objects.exists()


def test_json_is_the_way_out_and_checked_by_the_type_all_the_same(operator):
    query = "name=bill&json=1"
    box = re.search(r'<textarea name="(input-\w+)"', operator.get(f"{START}?{query}").text)[1]

    refused = operator.post(f"{START}?{query}", {**form_of(operator, query), box: '{"number": "x"}'})
    assert refused.status_code == 422
    assert "bill" in refused.text
    operator.post(f"{START}?{query}", {**form_of(operator, query), box: '{"number": 7, "customer": "ada"}'})

    assert json.loads(Instance.objects.get().input)["number"] == 7


def test_one_without_an_input_asks_for_none(operator):
    assert "It takes no input." in operator.get(f"{START}?name=tick").text

    operator.post(f"{START}?name=tick", form_of(operator, "name=tick"))

    assert Instance.objects.get().input is None


@pytest.mark.parametrize("given", [{}, {"instance_id": "order-7"}])
def test_sending_the_form_twice_starts_one(operator, given):
    form = {**form_of(operator, "name=tick"), **given}

    first, second = (operator.post(f"{START}?name=tick", form) for _ in range(2))

    assert first["Location"] == second["Location"]
    assert Instance.objects.count() == 1


def test_two_forms_start_two(operator):
    for _ in range(2):
        operator.post(f"{START}?name=tick", form_of(operator, "name=tick"))

    assert Instance.objects.count() == 2


def test_a_live_instance_keeps_its_id(operator):
    rows.instance("order-7")

    response = operator.post(f"{START}?name=tick", {**form_of(operator, "name=tick"), "instance_id": "order-7"})

    assert response.status_code == 422
    assert "already exists" in response.text


def test_starting_like_another_fills_the_form_in(operator):
    rows.instance("order-7", name="bill", input='{"number":7,"customer":"ada"}', tags={"team": "a"}, version="2")

    page = operator.get(f"{START}?like=order-7").text

    assert 'name="input-number" value="7"' in page
    assert 'value="ada"' in page
    assert "team=a" in page


def test_starting_like_one_that_has_continued_as_new_takes_what_it_was_started_with(operator):
    started_with = {"first_input": '{"number":7,"customer":"ada"}', "first_version": "2"}
    rows.instance("order-7", name="bill", input='{"number":8,"customer":"bob"}', version="3", **started_with)

    page = operator.get(f"{START}?like=order-7").text

    assert 'name="input-number" value="7"' in page
    assert 'name="version" value="2"' in page
    assert "bob" not in page


def test_an_input_that_its_form_cannot_show_is_left_out_or_shown_as_json(operator):
    rows.instance("order-7", name="bill", input='"not an order"')

    assert operator.get(f"{START}?like=order-7").status_code == 200
    assert "not an order" in operator.get(f"{START}?like=order-7&json=1").text


def test_who_sees_no_payloads_starts_like_another_without_its_input(sign_in):
    browser = sign_in("starter")
    rows.instance("order-7", name="bill", input='{"number":7,"customer":"secret-ada"}')

    page = browser.get(f"{START}?like=order-7").text

    assert "secret-ada" not in page
    assert "orchestrations.view_payloads" in page


def test_starting_needs_the_right_and_may_be_confined_to_names(viewer, sign_in):
    assert viewer.get(START).status_code == 403
    assert viewer.get(f"{START}check/?instance_id=x").status_code == 403
    from django.contrib.auth.models import User

    Grant.objects.create(user=User.objects.get(username="viewer"), actions=["start"], names="bill")
    page = viewer.get(START).text
    assert "?name=bill" in page and "?name=echo" not in page
    assert viewer.get(f"{START}?name=echo").status_code == 403
    assert viewer.post(f"{START}?name=echo", {}).status_code == 403


def test_an_unknown_orchestrator_is_told_with_those_that_there_are(operator):
    response = operator.get(f"{START}?name=gone")

    assert response.status_code == 404
    assert "No orchestrator named gone" in response.text
    assert "?name=bill" in response.text


def test_an_id_is_checked_while_it_is_typed(operator):
    rows.instance("live")
    rows.instance("ended", status="Failed")

    typed = ("", "new", "live", "ended", "a/b")
    told = {text: operator.get(f"{START}check/", {"instance_id": text}).text for text in typed}

    assert told[""].strip() == ""
    assert "is free" in told["new"]
    assert "Choose another id" in told["live"]
    assert "would be replaced" in told["ended"]
    assert "Choose another id" in told["a/b"]


def test_the_pages_lead_to_it(operator, viewer):
    rows.instance("one")

    assert f"{START}?like=one" in operator.get("/hubs/default/i/one/").text
    assert START in operator.get("/hubs/default/instances/").text
    assert START not in viewer.get("/hubs/default/i/one/").text


def test_the_form_costs_few_queries(operator, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        operator.get(f"{START}?name=bill")
