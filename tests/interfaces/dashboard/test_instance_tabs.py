"""The tabs of an instance's page: history, tree, related, payloads, stack, diagram, rows, and what is left of it."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient, override_settings
from django.utils import timezone

from orchestrations.core.events import EventType
from orchestrations.models import AuditEntry, HistoryEvent, InboxMessage, Instance, Timer
from orchestrations.runtime.recorded_histories import RecordedHistory
from tests import rows

ONE = "/hubs/default/i/one/"
TRACE = """Traceback
  File "/srv/shop/flows.py", line 48, in order_flow
    charge()
  File "/venv/lib/python3.12/site-packages/gateway.py", line 3, in post
    raise OSError
"""
FAILURE = {"errorType": "OSError", "errorMessage": "reset", "stackTrace": TRACE}


@pytest.fixture
def one() -> Instance:
    return rows.instance("one")


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def sequences(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'<(?:tr|li) id="e(\d+)"', html)]


def many(instance: Instance, count: int, kind: EventType = EventType.TASK_SCHEDULED) -> None:
    """That many events at once."""
    first = instance.last_sequence + 1
    HistoryEvent.objects.bulk_create(
        HistoryEvent(
            instance=instance,
            execution=instance.execution,
            sequence=first + number,
            type=kind.value,
            timestamp=rows.NOON + timedelta(seconds=number),
            task_id=first + number,
            name=f"task-{first + number}",
        )
        for number in range(count)
    )
    instance.last_sequence += count
    instance.save()


# History


def test_pages_of_history_are_found_by_sequence(viewer, one):
    many(one, 650)

    first = viewer.get(f"{ONE}history/").text
    middle = viewer.get(f"{ONE}history/?seq=300").text
    newest = viewer.get(f"{ONE}history/?before=651").text

    assert (sequences(first)[0], sequences(first)[-1]) == (1, 200)
    assert (sequences(middle)[0], sequences(middle)[-1]) == (300, 499)
    assert (sequences(newest)[0], sequences(newest)[-1]) == (451, 650)
    assert "before=300" in middle
    assert "seq=500" in middle
    assert "Later events" not in newest
    assert "Earlier events" not in first


@pytest.mark.parametrize(
    "query", ["seq=0", "seq=-1", "seq=x", "seq=99999999999999999999", "before=%00", "type=Odd", "q=%00", "view=?"]
)
def test_an_address_that_makes_no_sense_shows_the_history_all_the_same(viewer, one, query):
    many(one, 3)

    assert viewer.get(f"{ONE}history/?{query}").status_code == 200


@pytest.fixture
def mixed(one) -> Instance:
    rows.history(
        one,
        (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "Charge"}),
        (EventType.TASK_FAILED, {"task_id": 1, "name": "Charge", "payload": json.dumps(FAILURE)}),
        (EventType.TASK_SCHEDULED, {"task_id": 2, "name": "ship"}),
        (EventType.TIMER_CREATED, {"task_id": 3}),
        (EventType.TIMER_CREATED, {"task_id": 4}),
        (EventType.TIMER_FIRED, {"task_id": 4}),
        (EventType.SUB_ORCHESTRATION_CREATED, {"task_id": 5, "name": "bill"}),
    )
    rows.work_item(one, 2, "ship")
    for task_id, state in ((3, Timer.State.PENDING), (4, Timer.State.FIRED)):
        Timer.objects.create(hub="default", instance=one, execution=1, task_id=task_id, due_at=rows.NOON, state=state)
    rows.instance("kid", parent=one, parent_task_id=5)
    return one


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=TimerCreated", [4, 5]),
        ("only=failed", [2]),
        ("only=open", [3, 4, 7]),
        ("q=charge", [1, 2]),
        ("q=charge&type=TaskFailed", [2]),
    ],
)
def test_history_can_be_narrowed(viewer, mixed, query, found):
    assert sequences(viewer.get(f"{ONE}history/?{query}").text) == found


def test_a_filter_that_finds_nothing_says_which_and_offers_the_way_back(viewer, mixed):
    text = viewer.get(f"{ONE}history/?q=refund&only=failed").text

    assert "No event of execution 1 matches the name “refund” among failed ones." in text
    assert f'href="{ONE}history/">Show all events' in text


def test_the_failure_of_a_failed_instance_is_one_click_away(viewer, one):
    many(one, 300)
    rows.history(one, (EventType.TASK_FAILED, {"task_id": 1, "name": "charge", "payload": json.dumps(FAILURE)}))
    Instance.objects.update(status="Failed")

    link = re.search(r'href="([^"]+)">Go to the failure', viewer.get(f"{ONE}history/").text)[1].replace("&amp;", "&")

    assert link.endswith("#e301")
    assert 301 in sequences(viewer.get(link.partition("#")[0]).text)


def test_the_compact_view_has_a_row_for_each_task(viewer, mixed):
    text = text_of(viewer.get(f"{ONE}history/?view=compact").text)

    assert "Charge failed" in text
    assert "ship queued" in text
    assert "timer fired" in text


def test_the_json_view_has_each_event_as_a_document(operator, viewer, one):
    rows.history(one, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge", "payload": '{"amount": 7}'}))

    document = json.loads(
        text_of(re.search(r"<pre.*?</pre>", operator.get(f"{ONE}history/?view=json").text, re.DOTALL)[0]).replace(
            "&quot;", '"'
        )
    )

    assert (document["type"], document["payload"]) == ("TaskScheduled", {"amount": 7})
    assert "amount" not in viewer.get(f"{ONE}history/?view=json").text


def test_an_earlier_execution_is_chosen_by_its_number(viewer, one):
    rows.history(one, (EventType.EXECUTION_STARTED, {"name": "first-life"}))
    one.execution, one.last_sequence = 3, 0
    rows.history(one, (EventType.EXECUTION_STARTED, {"name": "third-life"}), execution=3)

    text = viewer.get(f"{ONE}history/").text
    assert "third-life" in text
    assert f'href="{ONE}history/?execution=1"' in text
    assert "first-life" in viewer.get(f"{ONE}history/?execution=1").text
    assert "No history of execution 2 is kept" in viewer.get(f"{ONE}history/?execution=2").text


def test_new_events_come_with_the_live_update_of_the_same_page(viewer, one):
    many(one, 210)
    page = viewer.get(f"{ONE}history/?seq=201").text
    live = re.search(r'hx-get="([^"]+/live/[^"]*)"', page)[1].replace("&amp;", "&")

    many(one, 2)

    assert sequences(viewer.get(live).text) == list(range(201, 213))


# Timeline


def test_the_timeline_draws_a_window_and_leads_to_earlier_ones(viewer, one):
    many(one, 900)

    newest = viewer.get(ONE).text
    earlier = re.search(r'href="([^"]+)">Earlier events', newest)[1].replace("&amp;", "&")
    before = viewer.get(earlier).text

    assert "task-900" in newest
    assert "task-700<" not in newest
    assert len(re.findall(r'<a id="t\d+"', newest)) == 200
    assert 'id="t700"' in before
    assert "Newest" in before


def test_a_task_of_an_earlier_window_is_drawn_with_its_end(viewer, one):
    many(one, 3)
    many(one, 900)
    rows.history(one, (EventType.TASK_COMPLETED, {"task_id": 2, "name": "task-2"}))

    text = viewer.get(f"{ONE}?until=3").text

    assert re.search(r'aria-label="task-2, completed', text)
    assert re.search(r'aria-label="task-3, queued', text)


def test_what_has_been_open_since_long_ago_is_still_drawn(viewer, one):
    Instance.objects.update(waits=json.dumps([{"kind": "Activity", "name": "charge", "task_id": 0}]))
    rows.work_item(one, 0, "long-runner", started_at=timezone.now())
    one.refresh_from_db()
    many(one, 900)

    assert re.search(r'aria-label="long-runner, running', viewer.get(ONE).text)


def test_suspensions_and_rewinds_are_marked(viewer, one):
    rows.history(
        one,
        (EventType.EXECUTION_SUSPENDED, {"attributes": {"by": "dana"}}),
        (EventType.EXECUTION_RESUMED, {}),
        (EventType.EXECUTION_REWOUND, {"attributes": {"by": "dana"}}),
    )

    text = viewer.get(ONE).text

    assert 'aria-label="suspended, resumed, 1.0 s"' in text
    assert 'aria-label="rewind, rewound by dana' in text


def test_an_event_type_of_another_release_breaks_no_page(viewer, one):
    HistoryEvent.objects.create(instance=one, execution=1, sequence=1, type="Teleported", timestamp=rows.NOON)
    Instance.objects.update(last_sequence=1)

    for tab in ("", "history/", "history/?view=compact", "diagram/", "related/"):
        assert viewer.get(ONE + tab).status_code == 200


def test_the_timeline_is_a_picture_of_its_own_too(viewer, one):
    rows.history(one, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "<charge>"}))

    file = viewer.get(f"{ONE}timeline.svg")

    assert file["Content-Type"].startswith("image/svg+xml")
    assert "attachment" in file["Content-Disposition"]
    assert "&lt;charge&gt;" in file.text
    assert 'href="http://testserver/hubs/default/i/one/e/1/1/"' in file.text


# Tree


def test_the_tree_shows_the_failed_first_fifty_at_a_time(viewer, one):
    for number in range(60):
        rows.instance(f"kid-{number:02}", parent=one, status="Failed" if number == 55 else "Completed")

    first = viewer.get(f"{ONE}tree/").text
    ids = re.findall(r"kid-\d\d(?=</a>)", first)
    following = re.search(r'href="([^"]+)" rel="next">Next children', first)[1].replace("&amp;", "&")

    assert ids[:2] == ["kid-55", "kid-00"]
    assert len(ids) == 50
    assert "60 children: 1 Failed, 59 Completed" in text_of(first)
    assert len(re.findall(r"kid-\d\d(?=</a>)", viewer.get(following).text)) == 10


def test_the_tree_leads_up_to_the_root_and_down_on_demand(viewer, one):
    parent = rows.instance("parent", parent=rows.instance("top"))
    Instance.objects.filter(pk=one.pk).update(parent=parent)
    kid = rows.instance("kid", parent=one)
    rows.instance("grandkid", parent=kid, status="Failed")

    text = viewer.get(f"{ONE}tree/").text.split('class="tree"')[1]
    node = re.search(r'hx-get="([^"]+/node/)"', text)[1]

    assert text.index(">top<") < text.index(">parent<") < text.index(">kid<")
    assert "1 child of kid : 1 Failed" in text_of(text)
    assert "grandkid" not in text
    part = viewer.get(node, headers={"HX-Request": "true"}).text
    assert "grandkid" in part
    assert "<html" not in part
    assert viewer.get(node)["Location"] == "/hubs/default/i/kid/tree/"


def test_acts_on_the_whole_family_begin_at_the_root(operator, viewer, one):
    Instance.objects.filter(pk=one.pk).update(parent=rows.instance("top"))

    address = "/hubs/default/i/top/do/terminate/"
    assert f'href="{address}"' in operator.get(f"{ONE}tree/").text
    assert 'name="recursive"' in operator.get(address).text
    assert "family…" not in viewer.get(f"{ONE}tree/").text


# Related


def test_related_names_who_is_spoken_to_and_where_it_came_from(viewer, one):
    rows.history(
        one,
        (EventType.EVENT_SENT, {"name": "ping", "attributes": {"instance_id": "other"}}),
        (EventType.EVENT_SENT, {"name": "ping", "attributes": {"instance_id": "other"}}),
        (EventType.ENTITY_SIGNALED, {"name": "add", "attributes": {"instance_id": "@counter@a"}}),
        (EventType.EVENT_RAISED, {"name": "pong", "attributes": {"by": "dana"}}),
        (EventType.PATCH_APPLIED, {"name": "new-tax"}),
    )
    AuditEntry.objects.create(
        hub="default", instance_id="one", action="restart", actor_name="dana", via="API", details={"restarted": "old"}
    )

    text = text_of(viewer.get(f"{ONE}related/").text)

    assert "dana through API at" in text
    assert "again, after old" in text
    assert "ping ×2 to other" in text
    assert "@counter@a add" in text
    assert "pong from dana" in text
    assert "new-tax" in text


# Payloads


def test_secrets_are_hidden_on_pages_and_in_downloads(operator, one):
    given = {"user": "ann", "password": "hunter2", "nested": [{"apiKey": "hunter3", "X-Auth-Token": "hunter4"}]}
    rows.history(one, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge", "payload": json.dumps(given)}))
    Instance.objects.update(input=json.dumps(given), custom_status='{"secret": "hunter5"}')

    for path in (
        "",
        "io/",
        "history/",
        "history/?view=json",
        "e/1/",
        "raw/",
        "download/input.json",
        "history.json",
        "raw.json",
    ):
        response = operator.get(ONE + path)
        text = b"".join(response.streaming_content).decode() if response.streaming else response.text
        assert response.status_code == 200
        assert "hunter" not in text, path
    assert operator.get(f"{ONE}download/input.json").json()["user"] == "ann"


def test_what_has_continued_as_new_shows_its_first_input_too(operator, viewer, one):
    assert "First input" not in operator.get(f"{ONE}io/").text

    Instance.objects.update(input='"present"', first_input='"original"', first_version="")

    text = operator.get(f"{ONE}io/").text
    assert "present" in text
    assert "First input" in text
    assert operator.get(f"{ONE}download/first_input.json").json() == "original"
    assert "original" not in viewer.get(f"{ONE}io/").text
    assert viewer.get(f"{ONE}download/first_input.json").status_code == 403


def test_what_is_secret_is_a_setting(operator, one):
    Instance.objects.update(input='{"password": "hunter2", "shoe size": 43}')

    with override_settings(DURABLE={"REDACTED_KEYS": ["shoe_size"]}):
        text = operator.get(f"{ONE}io/").text

    assert "hunter2" in text
    assert "43" not in re.search(r"<pre.*?</pre>", text, re.DOTALL)[0]


def test_a_payload_that_is_no_text_is_shown_in_hexadecimal(operator, one):
    Instance.objects.update(input="PK\x03\x04 zip")

    text = operator.get(f"{ONE}io/").text

    assert "binary" in text
    assert "50 4b 03 04" in text


@pytest.mark.parametrize("path", ["", "io/", "stack/", "e/1/", "history/", "raw/", "history.json"])
def test_a_payload_whose_file_is_gone_is_told_and_breaks_no_page(operator, one, path):
    gone = "blob:v1:900000:durable/payloads/default/ab/gone.json.gz"
    rows.history(one, (EventType.TASK_FAILED, {"task_id": 1, "payload": gone}))
    Instance.objects.update(status="Failed", input=gone, output=gone, failure=gone)

    response = operator.get(ONE + path)

    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode() if response.streaming else response.text
    if path in ("io/", "stack/", "e/1/", "history.json"):
        assert "gone.json.gz" in text


@pytest.fixture
def expense_template(settings, tmp_path):
    """``expense_template(text)`` gives the site a template for the type Expense."""

    def write(text: str) -> None:
        folder = tmp_path / "durable" / "payloads"
        folder.mkdir(parents=True)
        (folder / "Expense.html").write_text(text)
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path, *settings.TEMPLATES[0]["DIRS"]]}]
        Instance.objects.update(name="settle_expense", input='{"who": "<Ann>", "amount": "7"}')

    return write


def test_a_template_of_the_type_shows_its_payload(operator, one, expense_template):
    expense_template("<b>{{ part }}: {{ value.who }} spends {{ value.amount }}</b>")

    assert "<b>input: &lt;Ann&gt; spends 7</b>" in operator.get(f"{ONE}io/").text


@pytest.mark.parametrize(
    "mistake", ["{% load nothing %}", "{% include 'nothing.html' %}", "{{ value|add:part.x.y }}{% url 'x' %}"]
)
def test_a_template_that_fails_is_told_and_the_json_shown(operator, one, expense_template, mistake):
    expense_template(mistake)

    text = operator.get(f"{ONE}io/").text

    assert "The template durable/payloads/Expense.html could not show it" in text
    assert "&quot;amount&quot;" in text


def test_a_custom_status_needs_no_permission_for_payloads(viewer, one):
    Instance.objects.update(input='"canary"', custom_status='{"step": "payment"}')

    text = viewer.get(f"{ONE}io/").text

    assert "payment" in text
    assert "canary" not in text


# Stack


def test_own_frames_are_open_and_those_of_libraries_folded(viewer, one):
    Instance.objects.update(status="Failed", failure=json.dumps(FAILURE), error="OSError: reset")

    text = viewer.get(f"{ONE}stack/").text
    folded = "".join(re.findall(r"<details.*?</details>", text, re.DOTALL))

    assert "srv/shop/flows.py:48" in text
    assert "srv/shop/flows.py:48" not in folded
    assert "site-packages/gateway.py:3" in folded
    assert "1 frame of libraries" in folded


def test_the_members_of_a_group_are_told_before_its_cause(viewer, one):
    late = {"errorType": "TimeoutError", "errorMessage": "too late", "innerFailure": FAILURE}
    group = {"errorType": "ExceptionGroup", "errorMessage": "two failed", "innerFailure": {"errorType": "KeyError"}}
    failure = group | {"members": [{"errorType": "ValueError", "errorMessage": "no"}, late]}
    Instance.objects.update(status="Failed", failure=json.dumps(failure), error="ExceptionGroup: two failed")

    told = text_of(viewer.get(f"{ONE}stack/").text)

    words = ["ExceptionGroup two failed", "in the group ValueError no", "in the group TimeoutError too late"]
    places = [told.index(one) for one in (*words, "caused by OSError reset", "caused by KeyError")]
    assert places == sorted(places)


def test_lines_of_the_project_are_linked_to_their_source(viewer, one):
    from pathlib import Path

    inside = TRACE.replace("/srv/shop", f"{Path.cwd()}/shop")
    Instance.objects.update(
        status="Failed", failure=json.dumps({**FAILURE, "stackTrace": inside}), blocked_at="shop/flows.py:7 in flow"
    )

    with override_settings(DURABLE={"SOURCE_LINK": "https://git.example/{path}#L{line}"}):
        text = viewer.get(f"{ONE}stack/").text

    assert 'href="https://git.example/shop/flows.py#L48"' in text
    assert 'href="https://git.example/shop/flows.py#L7"' in text
    assert text.count("https://git.example") == 2


def test_others_with_the_same_error_are_counted_and_shown(viewer, one):
    alike = {"status": "Failed", "error_fingerprint": "f" * 16, "error": "OSError: reset"}
    Instance.objects.update(**alike, failure=json.dumps(FAILURE))
    for number in range(12):
        rows.instance(f"alike-{number}", **alike)
    rows.instance("unlike", status="Failed", error_fingerprint="e" * 16)

    text = viewer.get(f"{ONE}stack/").text

    assert "12 others with this error" in text
    assert f'href="/hubs/default/instances/?fingerprint={"f" * 16}"' in text
    assert 'stack/">12 others</a>' in viewer.get(ONE).text
    assert len(re.findall(r">alike-\d+<", text)) == 10
    assert "unlike" not in text


def test_the_attempts_of_the_failed_call_are_listed(viewer, one):
    payload = json.dumps(FAILURE)
    rows.history(
        one,
        *[
            (EventType.TASK_FAILED, {"task_id": 1, "attempt": n, "name": "charge", "payload": payload})
            for n in (1, 2, 3)
        ],
        (EventType.TASK_FAILED, {"task_id": 2, "name": "log", "payload": payload}),
        (EventType.TASK_FAILED, {"task_id": 1, "attempt": 4, "name": "charge", "payload": payload}),
    )
    Instance.objects.update(status="Failed", failure=payload)

    section = viewer.get(f"{ONE}stack/").text.split("Attempts of the call")[1].split("</section>")[0]

    assert re.findall(r'<td class="short">(\d)</td>', section) == ["1", "2", "3", "4"]


def test_a_waiting_orchestrator_shows_its_line_without_a_worker(viewer, one):
    Instance.objects.update(
        blocked_at="shop/flows.py:7 in flow",
        blocked_code="yield context.call_activity(charge)",
        waits=json.dumps([{"kind": "Activity", "name": "charge"}]),
    )

    for path in ("", "stack/"):
        text = viewer.get(ONE + path).text
        assert "shop/flows.py:7 in flow" in text
        assert "yield context.call_activity(charge)" in text


def test_what_an_orchestrator_called_is_shown_down_to_the_line_that_waits(viewer, one):
    calls = [
        ("shop/flows.py:7 in flow", "yield from paid(context)"),
        ("shop/pay.py:3 in paid", "yield context.call_activity(<charge>)"),
    ]
    Instance.objects.update(blocked_at=calls[-1][0], blocked_code=calls[-1][1], blocked_stack=json.dumps(calls))

    frames = viewer.get(f"{ONE}stack/").text.split('<ol class="frames">')[1].split("</ol>")[0]

    assert re.findall(r"<span class=\"mono\">([^<]+)</span><code>([^<]+)</code>", frames) == [
        ("shop/flows.py:7 in flow", "yield from paid(context)"),
        ("shop/pay.py:3 in paid", "yield context.call_activity(&lt;charge&gt;)"),
    ]


# Diagram


def test_like_messages_in_a_row_are_one_in_the_diagram(viewer, one):
    rows.history(
        one,
        (EventType.EXECUTION_STARTED, {"name": "echo"}),
        *[(EventType.TASK_SCHEDULED, {"task_id": n, "name": "charge"}) for n in range(30)],
        *[(EventType.TASK_COMPLETED, {"task_id": n}) for n in range(30)],
        (EventType.EXECUTION_COMPLETED, {"attributes": {"status": "Completed"}}),
    )

    text = viewer.get(f"{ONE}diagram/").text

    assert 'aria-label="call ×30, from echo to charge"' in text
    assert 'aria-label="result ×30, from charge to echo"' in text
    assert "P1-&gt;&gt;P2: call ×30" in text
    assert "P1--&gt;&gt;P0: Completed" in text


def test_the_diagram_draws_two_hundred_messages_and_leads_on(viewer, one):
    many(one, 300)

    text = viewer.get(f"{ONE}diagram/").text

    assert len(re.findall(r'<a id="m\d+"', text)) == 200
    assert "diagram/?seq=201" in text
    assert "others" in text


def test_hostile_names_stay_out_of_mermaids_syntax(viewer, one):
    rows.history(one, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": 'x"; click A href "javascript:1"\nend'}))

    mermaid = re.search(r'id="mermaid".*?>(.*?)</pre>', viewer.get(f"{ONE}diagram/").text, re.DOTALL)[1]

    assert len(mermaid.splitlines()) == 4
    assert ";" not in mermaid.replace("&gt;", "")


# Rows and exports


def test_the_rows_are_for_who_may_see_payloads(operator, viewer, one):
    Instance.objects.update(input='"canary"')
    InboxMessage.objects.create(hub="default", instance=one, type="EventRaised", name="ping", payload='"canary"')

    document = operator.get(f"{ONE}raw.json").json()

    assert document["instance"]["instance_id"] == "one"
    assert document["inbox"][0]["name"] == "ping"
    assert "canary" not in json.dumps(document)
    assert viewer.get(f"{ONE}raw.json").status_code == 403
    assert "ping" not in viewer.get(f"{ONE}raw/").text


def test_an_exported_history_is_what_replays_read(operator, viewer, one):
    rows.history(
        one,
        (EventType.EXECUTION_STARTED, {"name": "echo", "attributes": {"generation": 1}}),
        (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge", "payload": "7"}),
    )
    top = rows.instance("top")
    Instance.objects.filter(pk=one.pk).update(input='{"amount": 7}', tags={"tenant": "acme"}, parent=top)

    file = operator.get(f"{ONE}history.json")
    recorded = RecordedHistory.from_json(b"".join(file.streaming_content))

    assert (recorded.instance_id, recorded.name, recorded.input) == ("one", "echo", '{"amount": 7}')
    assert (recorded.tags, recorded.parent_instance_id, recorded.unreadable) == ({"tenant": "acme"}, "top", "")
    assert [(event.sequence, event.type, event.payload) for event in recorded.events] == [
        (1, EventType.EXECUTION_STARTED, None),
        (2, EventType.TASK_SCHEDULED, "7"),
    ]
    assert viewer.get(f"{ONE}history.json").status_code == 403


def test_an_instance_without_history_is_exported_too(operator, one):
    assert RecordedHistory.from_json(b"".join(operator.get(f"{ONE}history.json").streaming_content)).events == []


def test_an_export_is_streamed_to_a_server_with_an_event_loop_too(operator, one):
    many(one, 450)
    browser = AsyncClient()
    browser.force_login(User.objects.get(username="operator"))

    async def read() -> bytes:
        response = await browser.get(f"{ONE}history.json")
        return b"".join([chunk async for chunk in response.streaming_content])

    assert len(RecordedHistory.from_json(async_to_sync(read)()).events) == 450


# What is gone


def test_a_purged_instance_says_who_deleted_it_and_why(viewer):
    AuditEntry.objects.create(
        hub="default", instance_id="one", action="purge", actor_name="dana", reason="asked to", via="Dashboard"
    )

    for tab in ("", "history/", "audit/"):
        response = viewer.get(ONE + tab)
        assert response.status_code == 410
        assert "Purged by dana at" in text_of(response.text)
        assert "asked to" in response.text


@pytest.mark.parametrize("instance_id", ["nobody", "%00", "%ED%A0%80"])
def test_an_id_that_nothing_is_known_of_is_not_found(viewer, instance_id):
    assert viewer.get(f"/hubs/default/i/{instance_id}/").status_code == 404


def test_what_is_left_of_an_instance_is_for_who_may_see_instances(approver):
    AuditEntry.objects.create(hub="default", instance_id="one", action="purge", actor_name="dana", via="Dashboard")

    assert approver.get(ONE).status_code == 403


def test_an_open_page_of_an_instance_that_is_purged_turns_into_what_is_left(viewer, one):
    AuditEntry.objects.create(hub="default", instance_id="one", action="purge", actor_name="dana", via="Dashboard")
    one.delete()

    assert "dash:instance" in viewer.get(f"{ONE}tick/")["HX-Trigger"]
    assert viewer.get(f"{ONE}live/?tab=timeline")["HX-Refresh"] == "true"


# Addresses


@pytest.mark.parametrize(("former", "now"), [("children", "tree"), ("payloads", "io")])
def test_former_names_of_tabs_lead_to_todays(viewer, one, former, now):
    assert viewer.get(f"{ONE}{former}/")["Location"] == f"{ONE}{now}/"


def test_the_live_update_of_an_unknown_tab_is_not_found(viewer, one):
    assert viewer.get(f"{ONE}live/?tab=nothing").status_code == 404


def test_an_event_tells_of_the_others_of_its_task(viewer, mixed):
    text = text_of(viewer.get(f"{ONE}e/2/").text)

    assert "Task 1 also 1 TaskScheduled" in text


def test_an_instance_that_ended_before_its_children_says_so(viewer, one):
    Instance.objects.update(status="Completed", completed_at=rows.NOON)
    rows.instance("kid-1", parent=one)
    assert "1 of its sub-orchestrations goes on." in viewer.get(ONE).text

    rows.instance("kid-2", parent=one)
    assert "2 of its sub-orchestrations go on." in viewer.get(ONE).text


def test_seeing_payloads_makes_no_operator(sign_in, one):
    browser = sign_in("viewer")
    User.objects.get(username="viewer").user_permissions.add(Permission.objects.get(codename="view_payloads"))

    assert browser.get(f"{ONE}raw.json").status_code == 200
    assert "family…" not in browser.get(f"{ONE}tree/").text
