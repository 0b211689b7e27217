"""The instance page: why it isn't moving, what it costs, and that data is never markup."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrations.core.events import EventType
from orchestrations.models import InboxMessage, Instance
from tests import rows
from tests.asking import ask

HOSTILE = """"><script>alert(1)</script><img src=x onerror='alert(2)'>{{ 7|add:7 }}&lt;"""
TRACE = 'Traceback\n  File "/srv/orders/flows.py", line 48, in order_flow\nValueError: no'


def page(browser, instance_id: str = "one", tab: str = "") -> str:
    response = browser.get(reverse("dashboard:instance", args=["default", instance_id]) + tab)
    assert response.status_code == 200
    return response.text


def why(text: str) -> str:
    box = re.search(r'<div class="why.*?</div>', text, re.DOTALL)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", box).split()).replace("&#x27;", "'")


def waits(*entries: dict[str, object]) -> str:
    return json.dumps(list(entries))


def test_a_running_activity_is_named_with_its_attempt(viewer):
    rows.instance(
        "one",
        waits=waits(
            {"kind": "Activity", "name": "charge", "since": rows.NOON.isoformat(), "attempt": 2, "max_attempts": 5}
        ),
    )

    assert "The activity charge has been running or queued since 2026-03-01 12:00:00, attempt 2 of 5." in why(
        page(viewer)
    )


def test_a_retry_is_told_with_its_time(viewer):
    due = timezone.now() + timedelta(minutes=5, seconds=30)
    entry = {"kind": "Activity", "name": "charge", "due_at": due.isoformat(), "attempt": 3, "max_attempts": 5}
    rows.instance("one", waits=waits(entry))

    assert re.search(r"charge failed and is tried again in 5 m \d+ s \(.*\), attempt 3 of 5\.", why(page(viewer)))


def test_a_question_comes_before_the_timer_beside_it(viewer):
    rows.instance(
        "one",
        waits=waits(
            {"kind": "Timer", "due_at": rows.NOON.isoformat()},
            {"kind": "ExternalEvent", "name": "decision", "title": "Pay 7 EUR?", "since": rows.NOON.isoformat()},
        ),
    )
    text = page(viewer)

    assert "Waiting for a person since 2026-03-01 12:00:00: Pay 7 EUR?" in why(text)
    assert "It also waits for 1 other thing." in why(text)
    assert "Waiting for human" in text


def test_a_failure_is_told_with_the_line_of_the_authors_code(viewer):
    failure = {"errorType": "ValueError", "errorMessage": "no", "stackTrace": TRACE}
    rows.instance("one", status="Failed", failure=json.dumps(failure), error="ValueError: no")

    assert "Failed at srv/orders/flows.py:48 in order_flow with ValueError: no." in why(page(viewer))


def test_a_suspension_is_told_with_who_and_why(viewer):
    instance = rows.instance("one", status="Suspended")
    rows.history(instance, (EventType.EXECUTION_SUSPENDED, {"attributes": {"by": "dana", "reason": "vendor outage"}}))

    assert "Suspended by dana since 2026-03-01 12:00:01: vendor outage." in why(page(viewer))


def test_a_request_that_no_worker_has_taken_up_is_told(viewer):
    instance = rows.instance("one", status="Failed")
    InboxMessage.objects.create(
        hub="default", instance=instance, type="ExecutionRewound", attributes='{"by": "dana", "reason": "fixed"}'
    )
    text = page(viewer)

    assert re.search(r"Rewind was requested by dana .* ago: fixed; no worker has taken it up yet\.", why(text))
    assert "data-tick" in text


@pytest.mark.parametrize("status", ["Completed", "Terminated", "Canceled"])
def test_a_page_of_what_has_ended_asks_no_more(viewer, status):
    rows.instance("one", status=status, completed_at=rows.NOON)

    assert "data-tick" not in page(viewer)


@pytest.mark.parametrize(
    "status, offered",
    [
        ("Pending", {"raise", "suspend", "terminate"}),
        ("Running", {"raise", "suspend", "terminate"}),
        ("Suspended", {"raise", "resume", "terminate"}),
        ("Failed", {"rewind", "restart", "purge"}),
        ("Completed", {"restart", "purge"}),
    ],
)
def test_only_what_is_possible_is_offered(viewer, operator, status, offered):
    rows.instance("one", status=status)

    assert set(re.findall(r'id="do-(\w+)"', page(operator))) == offered | {"tags"}
    assert not re.findall(r'id="do-(\w+)"', page(viewer))


TABS = ["", "history/", "tree/", "related/", "io/", "stack/", "diagram/", "audit/", "raw/"]


def asked_of_the_tables(browser, path: str) -> list[str]:
    """The statements about instances; who asks is looked up besides, in the tables of Django's own."""
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(path).status_code == 200
    return [query["sql"] for query in captured if "durable_" in query["sql"]]


def busy(size: int) -> Instance:
    """An instance that waits for a person, an activity and an act on its way, with that many children and events."""
    instance = rows.instance(
        f"busy-{size}",
        parent=rows.instance(f"parent-{size}"),
        waits=waits(
            {"kind": "ExternalEvent", "name": "decision", "title": "Pay?", "task_id": 1},
            {"kind": "Activity", "name": "charge", "task_id": 2},
        ),
    )
    rows.wait(instance, title="Pay?", request={"groups": ["Finance"]})
    InboxMessage.objects.create(hub="default", instance=instance, type="ExecutionSuspended")
    for number in range(size):
        rows.instance(f"child-{size}-{number}", parent=instance)
    rows.history(instance, *[(EventType.TASK_SCHEDULED, {"task_id": n, "name": "charge"}) for n in range(size)])
    return instance


@pytest.mark.parametrize("tab", TABS)
def test_a_page_costs_the_same_whatever_the_size_of_the_instance(operator, tab):
    few, many = (asked_of_the_tables(operator, f"/hubs/default/i/{busy(size).instance_id}/{tab}") for size in (2, 60))

    assert len(few) == len(many)
    if not tab:
        assert len(many) <= 8


def test_a_long_history_is_read_a_page_at_a_time(viewer):
    instance = rows.instance("one")
    rows.history(instance, *[(EventType.TASK_SCHEDULED, {"task_id": n, "name": f"task-{n}"}) for n in range(250)])

    first = page(viewer, tab="history/")
    later = re.search(r'href="([^"]+)" rel="next">Later events', first)[1].replace("&amp;", "&")

    assert 'id="e200"' in first
    assert 'id="e201"' not in first
    assert 'id="e201"' in viewer.get(later).text


def test_like_tasks_are_drawn_as_one(viewer):
    instance = rows.instance("one")
    at_once = {"name": "charge", "timestamp": rows.NOON}
    scheduled = [(EventType.TASK_SCHEDULED, {"task_id": n, **at_once}) for n in range(1, 101)]
    ended = [(EventType.TASK_FAILED if n == 7 else EventType.TASK_COMPLETED, {"task_id": n}) for n in range(1, 101)]
    rows.history(instance, *scheduled, *ended)

    text = page(viewer)

    assert "charge ×100" in text
    assert "99 ok, 1 failed" in text


def test_failures_open_in_place_and_as_a_page(viewer):
    instance = rows.instance("one")
    failure = json.dumps({"errorType": "ValueError", "errorMessage": 'no "way"', "stackTrace": TRACE})
    rows.history(instance, (EventType.TASK_FAILED, {"task_id": 1, "name": "charge", "payload": failure}))

    assert "ValueError: no &quot;way&quot;" in page(viewer, tab="history/")
    assert "orders/flows.py:48" in viewer.get("/hubs/default/i/one/e/1/1/").text
    assert "orders/flows.py:48" in viewer.get("/hubs/default/i/one/e/1/").text
    part = viewer.get("/hubs/default/i/one/e/1/1/", headers={"HX-Request": "true"}).text
    assert "orders/flows.py:48" in part
    assert "<html" not in part


def test_a_tick_tells_of_changes_to_the_instance_and_to_its_questions(viewer):
    instance = rows.instance("one")
    text = page(viewer)
    known = ",".join(re.findall(r'data-watch="([^"]+)"', text))
    tick = "/hubs/default/i/one/tick/"

    assert viewer.get(tick, {"v": known}).status_code == 204
    ask(instance, "Pay?")
    assert viewer.get(tick, {"v": known})["HX-Trigger"] == '{"dash:waits": {}}'
    Instance.objects.filter(pk=instance.pk).update(status="Suspended")
    assert "dash:instance" in viewer.get(tick, {"v": known})["HX-Trigger"]


def test_the_region_that_updates_itself_holds_no_form(operator):
    ask("one", "Pay?", groups=())

    assert "<form" in page(operator)
    assert "<form" not in operator.get("/hubs/default/i/one/live/").text
    assert "<form" in operator.get("/hubs/default/i/one/answers/").text


@pytest.mark.parametrize("instance_id", [".", "..", "a b", "50%", "é", "a:b;c", "~2F", "live", "<i>x</i>", "'\"&"])
def test_any_id_has_its_page(viewer, instance_id):
    rows.instance(instance_id)

    assert reverse("dashboard:instance", args=["default", instance_id]).count("/") == 5
    page(viewer, instance_id)


class Elements(HTMLParser):
    """The elements of a page, with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))


@pytest.mark.parametrize(
    "tab",
    [
        "",
        "history/",
        "history/?view=compact",
        "history/?view=json",
        "tree/",
        "related/",
        "io/",
        "stack/",
        "diagram/",
        "audit/",
        "raw/",
    ],
)
@pytest.mark.parametrize("status", ["Running", "Failed", "Suspended", "Terminated"])
def test_data_is_never_markup(operator, tab, status):
    def build(text: str) -> list[tuple[str, tuple[str, ...]]]:
        Instance.objects.all().delete()
        failure = json.dumps({"errorType": text, "errorMessage": text, "stackTrace": text})
        instance = rows.instance(
            "one",
            name=text,
            status=status,
            input=json.dumps(text),
            output=json.dumps(text),
            custom_status=json.dumps(text),
            failure=failure,
            error=text,
            waiting_for=text,
            blocked_at=text,
            blocked_code=text,
            tags={text: text},
            waits=waits({"kind": "ExternalEvent", "name": text, "title": text}, {"kind": "Activity", "name": text}),
        )
        rows.wait(instance, text, title=text, request={"title": text, "summary": {text: text}, "groups": [text]})
        rows.history(
            instance,
            (EventType.TASK_SCHEDULED, {"task_id": 1, "name": text, "payload": json.dumps(text)}),
            (EventType.TASK_FAILED, {"task_id": 1, "name": text, "payload": failure}),
            (EventType.EXECUTION_TERMINATED, {"attributes": {"by": text, "reason": text}}),
            (EventType.EXECUTION_SUSPENDED, {"attributes": {"by": text, "reason": text}}),
        )
        return Elements(page(operator, "one", tab)).found

    assert build(HOSTILE) == build("harmless text that is at least as long as the hostile one, and then some")


def test_no_page_has_an_inline_script_style_or_handler(operator):
    instance = rows.instance("one", waits=waits({"kind": "ExternalEvent", "name": "decision", "title": "Pay?"}))
    rows.wait(instance, title="Pay?")
    rows.history(instance, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge"}))

    for path in (
        "/hubs/default/instances/",
        "/hubs/default/i/one/",
        "/hubs/default/i/one/do/terminate/",
        "/approvals/",
    ):
        text = operator.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|<script(?![^>]*\ssrc=)", text), path


def test_tabs_tell_what_there_is_to_read_and_keep_it_up_to_date(viewer):
    instance = rows.instance("one", last_sequence=1_204)
    for number in range(3):
        rows.instance(f"child-{number}", parent=instance)

    def counts(text: str) -> dict[str, str]:
        return dict(re.findall(r">(\w+) <strong>([\d,]+)</strong></a></li>", text))

    assert counts(page(viewer)) == {"History": "1,204", "Tree": "3"}
    rows.instance("child-3", parent=instance)
    live = viewer.get(re.search(r'hx-get="([^"]+/live/[^"]*)"', page(viewer))[1].replace("&amp;", "&")).text
    assert counts(live)["Tree"] == "4"
    assert 'id="parts" aria-label="Parts of this instance" hx-swap-oob="morph"' in live
