"""What the acts do: the message that they send, the trail that they leave, and what they answer."""

from __future__ import annotations

import json
import re

import pytest

from orchestrations import OrchestrationClient
from orchestrations.core.events import EventType
from orchestrations.models import ActivityWorkItem, AuditEntry, InboxMessage, Instance, Timer
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
    focused = re.findall(r"<(?:textarea|input|div)[^>]*\sautofocus[^>]*>", response.text)
    assert len(focused) == 1 and 'name="reason"' in focused[0]
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


def test_a_whole_tree_is_ended_only_by_who_types_its_id(operator):
    rows.instance(parent=rows.instance("one"))
    given = {"reason": "done", "recursive": "on"}

    refused = operator.post(url("terminate"), given)

    assert refused.status_code == 422
    assert "That is not the id of this instance." in refused.text
    assert not InboxMessage.objects.exists()
    assert operator.post(url("terminate"), {"reason": "done"}).status_code == 302  # it alone needs none
    assert operator.post(url("terminate"), {**given, "confirm": "one"}).status_code == 302


def test_an_act_tells_its_effect_in_numbers(operator):
    parent = rows.instance("one")
    for _ in range(240):
        rows.instance(parent=parent)
    for name in ("a", "b", "c"):
        OrchestrationClient().raise_event("one", name)

    page = operator.get(url("suspend")).text

    assert "240 sub-orchestrations keep running, unless you say otherwise." in page
    assert "3 buffered events stay." in page


@pytest.mark.parametrize("slug, status", [("suspend", "Running"), ("resume", "Suspended")])
def test_what_is_below_can_be_suspended_and_resumed_too(operator, slug, status):
    parent = rows.instance("one", status=status)
    assert 'name="recursive"' not in operator.get(url(slug)).text
    rows.instance(parent=parent, status=status)
    assert 'name="recursive"' in operator.get(url(slug)).text

    operator.post(url(slug), {"reason": "outage", "recursive": "on"})
    operator.post(url(slug), {"reason": "outage"})

    told = [json.loads(message.attributes) for message in InboxMessage.objects.order_by("pk")]
    assert ["recursive" in each for each in told] == [True, False]


@pytest.mark.parametrize(("slug", "status"), [("purge", "Completed"), ("terminate", "Running")])
def test_what_is_typed_to_be_sure_is_not_called_optional(operator, slug, status):
    parent = rows.instance("one", status=status)
    rows.instance("two", parent=parent)

    page = operator.get(url(slug)).text

    label = re.search(r'<label for="id_confirm">(.*?)</label>', page)[1]
    assert label.startswith("Type the instance id")
    assert "optional" not in label


def test_the_reason_of_a_purge_is_kept_where_the_purge_leaves_something(operator):
    rows.instance("one", status="Completed")

    assert "Kept in the audit trail." in operator.get(url("purge")).text
    assert "Kept in the audit trail." in operator.get(url("tags")).text


def test_a_purge_tells_what_it_removes(operator):
    parent = rows.instance("one", status="Completed")
    for _ in range(12):
        rows.instance(parent=parent, status="Completed")
    rows.history(parent, *[(EventType.EVENT_RAISED, {"payload": "x" * 1_000}) for _ in range(5)])

    page = operator.get(url("purge")).text

    assert "This removes 5 events with 5.0 KB of payloads." in page
    assert "It has 12 sub-orchestrations, which stay unless you say otherwise." in page


def test_what_is_legal_and_not_allowed_names_the_missing_permission(viewer):
    rows.instance("one")

    page = viewer.get("/hubs/default/i/one/").text

    assert "Needs the permission orchestrations.terminate_instance" in page
    assert url("terminate") not in page
    assert "Purge" not in page  # not while it runs


def test_tags_are_edited_a_line_each(operator):
    rows.instance("one", tags={"team": "a", "old": "x"})
    assert "old=x\nteam=a" in operator.get(url("tags")).text

    response = operator.post(url("tags"), {"tags": "team=b\r\n\r\nowner = ada\r\n", "reason": "handed over"})

    assert response.status_code == 302
    assert Instance.objects.get().tags == {"team": "b", "owner": "ada"}
    entry = AuditEntry.objects.get()
    changed = {"set": {"team": "b", "owner": "ada"}, "removed": ["old"], "before": {"team": "a", "old": "x"}}
    assert (entry.action, entry.details) == ("set_tags", changed)


@pytest.mark.parametrize(
    "tags, told", [("team", "Line 1 is no tag"), ("=a", "Line 1 is no tag"), ("team=a", "Nothing has changed")]
)
def test_what_are_no_tags_is_told_beside_them(operator, tags, told):
    rows.instance("one", tags={"team": "a"})

    response = operator.post(url("tags"), {"tags": tags})

    assert response.status_code == 422
    assert told in response.text


def waits_for(*waits: dict[str, object]) -> Instance:
    """A running instance that waits for these."""
    return rows.instance("one", waits=json.dumps(waits))


TIMER = {"kind": "Timer", "name": "", "task_id": 3, "since": "2026-03-01T12:00:00Z", "due_at": "2026-03-02T12:00:00Z"}
ACTIVITY = {"kind": "Activity", "name": "charge", "task_id": 4, "since": "2026-03-01T12:00:00Z"}


def test_a_timer_is_skipped_from_the_page_of_its_wait(operator):
    instance = waits_for(TIMER)
    Timer.objects.create(hub=instance.hub, instance=instance, execution=1, task_id=3, due_at=rows.NOON)
    where = f"{url('skip-timer')}?task=3"
    assert "Waiting for a timer" in operator.get(where).text

    assert operator.post(where, {"reason": "no need to wait"}).status_code == 302

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.details) == ("skip_timer", "no need to wait", {"task": 3})


def test_an_activity_is_completed_by_hand_with_json_and_a_reason(operator):
    instance = waits_for(ACTIVITY)
    ActivityWorkItem.objects.create(
        hub=instance.hub,
        instance=instance,
        execution=1,
        task_id=4,
        sequence=1,
        name="charge",
        scheduled_at=rows.NOON,
        visible_at=rows.NOON,
    )
    where = f"{url('complete-task')}?task=4"

    assert operator.post(where, {"result": "41"}).status_code == 422
    assert operator.post(where, {"result": "{", "reason": "paid by phone"}).status_code == 422
    assert operator.post(where, {"result": "41", "reason": "paid by phone"}).status_code == 302

    message = InboxMessage.objects.get()
    assert (message.type, message.payload) == ("TaskCompleted", "41")


@pytest.mark.parametrize("where", ["skip-timer/?task=4", "skip-timer/?task=99", "skip-timer/", "retry-now/?task=x"])
def test_a_task_that_is_not_waited_for_any_more_is_a_conflict(operator, where):
    waits_for(ACTIVITY)

    response = operator.get(f"/hubs/default/i/one/do/{where}")

    assert response.status_code == 409
    assert "it has gone on already" in response.text


def test_what_is_waited_for_stands_above_the_event_to_raise(operator):
    instance = rows.instance("one")
    assert "It waits for no event now" in operator.get(url("raise")).text
    rows.wait(instance, "paid")
    rows.wait(instance, "decision", title="Pay order 7?")

    page = operator.get(url("raise")).text

    assert 'href="?name=paid"' in page
    assert "Pay order 7?" in page
    assert "It waits for no event now" not in page


def test_who_may_do_nothing_learns_nothing_of_what_there_is(viewer):
    rows.instance("one")

    assert viewer.get(url("terminate")).status_code == viewer.get(url("terminate", "two")).status_code == 403


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

    assert response["Location"] == "/hubs/default/i/one/"
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
