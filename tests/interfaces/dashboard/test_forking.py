"""Running an instance again from a step: what the page says before, what the act does, and where it leads."""

from __future__ import annotations

import html
import re

import pytest

from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.deeds import told
from orchestrations.models import AuditEntry, HistoryEvent, Instance
from tests import rows
from tests.functions import registered

HISTORY = "/hubs/default/i/one/history/"
EVENTS = [
    (EventType.EXECUTION_STARTED, {"name": "echo"}),
    (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "reserve"}),
    (EventType.TASK_SCHEDULED, {"task_id": 2, "name": "pack"}),
    (EventType.EVENT_RAISED, {"name": "paid"}),
    (EventType.TASK_COMPLETED, {"task_id": 1}),
    (EventType.TASK_SCHEDULED, {"task_id": 3, "name": "charge"}),
    (EventType.EVENT_RAISED, {"name": "approved"}),
    (EventType.TASK_COMPLETED, {"task_id": 2}),
    (EventType.TASK_COMPLETED, {"task_id": 3}),
    (EventType.EXECUTION_COMPLETED, {"attributes": {"status": "Completed"}}),
]


@pytest.fixture(autouse=True)
def functions():
    with registered():
        yield


@pytest.fixture
def one(db) -> Instance:
    instance = rows.instance("one", status="Completed", input="1")
    rows.history(instance, *[(kind, dict(columns)) for kind, columns in EVENTS])
    return instance


def url(step: object, instance_id: str = "one") -> str:
    return f"/hubs/default/i/{instance_id}/do/fork/?step={step}"


def words(response) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def test_each_row_of_the_present_history_leads_there(operator, one):
    assert re.findall(r'href="[^"]*/do/fork/\?step=(\d+)"', operator.get(HISTORY).text) == [
        str(n) for n in range(1, 11)
    ]
    assert url(6) in operator.get("/hubs/default/i/one/e/1/6/").text


def test_what_will_happen_is_said_before(operator, one):
    said = words(operator.get(url(6)))

    assert "Step 6, TaskScheduled charge" in said
    assert "Steps 1 to 5 are kept, with the results of one activity and one external event." in said
    assert "Step 6 and all that followed is done again" in said
    assert "What was open at that step begins anew: pack." in said
    assert "One external event came later and is not delivered to the new instance." in said
    assert Instance.objects.count() == 1


def test_from_the_beginning_nothing_is_kept(operator, one):
    assert "Nothing but the input is kept" in words(operator.get(url(1)))


@pytest.mark.parametrize("step", [0, 11, "x", "", "9" * 30])
def test_a_step_that_is_not_there_has_no_button_and_no_effect(operator, one, step):
    response = operator.get(url(step))
    assert response.status_code == 409
    assert "It has steps 1 to 10" in response.text
    assert '<button class="button primary' not in response.text
    assert operator.post(url(step), {"reason": ""}).status_code in (409, 422)
    assert Instance.objects.count() == 1


def test_it_starts_a_new_instance_and_goes_there(operator, one):
    response = operator.post(url(6), {"reason": "wrong price"})

    forked = Instance.objects.get(forked_from="one")
    assert (response.status_code, response["Location"]) == (302, f"/hubs/default/i/{forked.instance_id}/")
    assert forked.forked_step == 6
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.instance_id) == ("fork", "wrong price", forked.instance_id)
    assert HistoryEvent.objects.filter(instance=one).count() == 10
    in_place = operator.post(url(6), {"reason": ""}, headers={"HX-Request": "true"})
    assert in_place["HX-Redirect"].startswith("/hubs/default/i/")


def test_both_pages_tell_of_one_another(operator, one):
    operator.post(url(6), {"reason": ""})
    forked = Instance.objects.get(forked_from="one").instance_id

    assert "Forked from one at step 6" in words(operator.get(f"/hubs/default/i/{forked}/"))
    related = words(operator.get(f"/hubs/default/i/{forked}/related/"))
    assert "Forked from one at step 6" in related
    assert "Started by operator through Dashboard" in related
    assert f"Forks {forked}" in words(operator.get("/hubs/default/i/one/related/"))
    assert told(AuditEntry.objects.get().details) == ["orchestrator echo", "from one", "at step 6"]


def test_forks_of_an_earlier_instance_of_the_id_are_none_of_this_one(operator, one):
    rows.instance("old", forked_from="one", forked_step=1, minutes=-5)
    assert "Forks none" in words(operator.get("/hubs/default/i/one/related/"))


def test_it_takes_the_right_to_start(viewer, one):
    assert "fork/?step" not in viewer.get(HISTORY).text
    assert viewer.get(url(6)).status_code == 403
    assert viewer.post(url(6), {"reason": ""}).status_code == 403
    assert Instance.objects.count() == 1


def test_a_name_of_a_task_is_only_text(operator, one):
    HistoryEvent.objects.filter(sequence=6).update(name="<b>x")
    assert "&lt;b&gt;x" in operator.get(url(6)).text


def test_an_earlier_execution_is_not_run_again(operator, one):
    Instance.objects.update(execution=2)
    assert "fork/?step" not in operator.get(f"{HISTORY}?execution=1").text


def test_the_admin_shows_where_it_came_from(admin_client, one):
    fork = rows.instance("fork", forked_from="one", forked_step=6)
    shown = words(admin_client.get(f"/admin/orchestrations/instance/{fork.pk}/change/"))
    assert "Forked from: one" in shown
    assert "Forked step: 6" in shown
