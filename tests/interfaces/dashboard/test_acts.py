"""What the acts do: the message that they send, the trail that they leave, and what they answer."""

from __future__ import annotations

import json

import pytest

from orchestrations.models import AuditEntry, InboxMessage, Instance
from tests import rows

HTMX = {"HX-Request": "true"}


def url(slug: str, instance_id: str = "one") -> str:
    return f"/hubs/default/i/{instance_id}/do/{slug}/"


@pytest.mark.parametrize(
    "slug, status, event",
    [
        ("suspend", "Running", "ExecutionSuspended"),
        ("resume", "Suspended", "ExecutionResumed"),
        ("terminate", "Running", "ExecutionTerminated"),
        ("rewind", "Failed", "ExecutionRewound"),
    ],
)
def test_a_control_act_is_a_message_and_an_audit_row(operator, slug, status, event):
    rows.instance("one", status=status)

    response = operator.post(url(slug), {"reason": "vendor outage"}, REMOTE_ADDR="192.0.2.7")

    assert response.status_code == 302
    message = InboxMessage.objects.get()
    assert message.type == event
    assert json.loads(message.attributes) | {"reason": "vendor outage", "by": "operator"} == json.loads(
        message.attributes
    )
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.reason) == (slug, "operator", "vendor outage")
    assert (entry.via, entry.address) == ("Dashboard", "192.0.2.7")


@pytest.mark.parametrize("slug, status", [("terminate", "Running"), ("rewind", "Failed"), ("purge", "Completed")])
def test_a_grave_act_needs_a_reason(operator, slug, status):
    rows.instance("one", status=status)

    response = operator.post(url(slug), {"reason": " ", "confirm": "one"})

    assert response.status_code == 422
    assert "Say why" in response.text
    assert 'href="#id_reason"' in response.text
    assert Instance.objects.exists()
    assert not InboxMessage.objects.exists()


def test_terminating_tells_how_many_live_children_end_too(operator):
    parent = rows.instance("one")
    for _ in range(3):
        rows.instance(parent=parent)
    rows.instance(parent=parent, status="Completed")

    assert "3 live sub-orchestrations" in operator.get(url("terminate")).text


@pytest.mark.parametrize("given, recursive", [({"recursive": "on"}, True), ({}, False)])
def test_terminating_spares_the_children_if_told_so(operator, given, recursive):
    rows.instance("one")

    operator.post(url("terminate"), {"reason": "done", **given})

    assert json.loads(InboxMessage.objects.get().attributes)["recursive"] is recursive


def test_an_event_is_raised_with_its_json(operator):
    rows.instance("one")

    response = operator.post(url("raise"), {"name": "paid", "payload": '{"amount": 41.00}'})

    assert response.status_code == 302
    message = InboxMessage.objects.get()
    assert (message.type, message.name, json.loads(message.payload)) == ("EventRaised", "paid", {"amount": 41.0})


@pytest.mark.parametrize("payload", ["", "  ", "null", " null\n"])
def test_an_event_without_a_payload_has_none(operator, payload):
    rows.instance("one")

    operator.post(url("raise"), {"name": "paid", "payload": payload})

    assert InboxMessage.objects.get().payload is None


@pytest.mark.parametrize("payload", ["{", "paid", '{"a": NaN}', '"\\u0000"', "[" * 100 + "]" * 100])
def test_json_that_cannot_be_stored_is_refused_in_the_form(operator, payload):
    rows.instance("one")

    response = operator.post(url("raise"), {"name": "paid", "payload": payload})

    assert response.status_code == 422
    assert "errors" in response.text
    assert not InboxMessage.objects.exists()


def test_the_name_of_an_awaited_event_is_filled_in(operator):
    rows.instance("one")

    assert 'value="paid"' in operator.get(url("raise"), {"name": "paid"}).text


def test_a_question_to_others_is_not_answered_by_raising_its_event(operator):
    rows.wait(rows.instance("one"), "decision", title="Pay?", request={"groups": ["Finance"]})

    assert operator.post(url("raise"), {"name": "Decision", "payload": "true"}).status_code == 403
    assert not InboxMessage.objects.exists()


def test_purging_needs_the_id_typed_and_leaves_its_audit_row(operator):
    rows.instance("one", status="Completed")

    assert operator.post(url("purge"), {"reason": "old", "confirm": "two"}).status_code == 422
    response = operator.post(url("purge"), {"reason": "old", "confirm": "one"})

    assert response["Location"] == "/hubs/default/instances/"
    assert not Instance.objects.exists()
    assert AuditEntry.objects.get().reason == "old"


@pytest.mark.parametrize(
    "slug, status",
    [
        ("suspend", "Completed"),
        ("terminate", "Completed"),
        ("resume", "Running"),
        ("rewind", "Running"),
        ("purge", "Running"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_the_status_forbids_is_a_conflict_in_words(operator, slug, status, method):
    rows.instance("one", status=status)

    response = getattr(operator, method)(url(slug), {"reason": "late", "confirm": "one"})

    assert response.status_code == 409
    assert "is not possible now" in response.text
    assert status in response.text
    assert not AuditEntry.objects.exists()


def test_a_dialog_gets_the_form_alone(operator):
    rows.instance("one")

    part = operator.get(url("terminate"), headers=HTMX).text

    assert "<html" not in part
    assert 'hx-target="#dialog"' in part


def test_in_place_an_act_answers_with_what_to_fetch_again(operator):
    rows.instance("one")

    response = operator.post(url("suspend"), {"reason": "é\r\nX: y"}, headers=HTMX)

    assert response.status_code == 204
    told = json.loads(response["HX-Trigger"])
    assert told == {"dash:done": {"message": "Suspension is requested."}, "dash:instance": {}}


def test_an_instance_of_unknown_code_cannot_start_again(operator):
    rows.instance("one", status="Completed", name="gone_from_the_code")

    response = operator.post(url("restart"))

    assert response.status_code == 422
    assert "gone_from_the_code" in response.text
