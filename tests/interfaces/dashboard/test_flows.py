"""Orchestrators: their code, how their instances fare, what fails, and what they call."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrations import OrchestrationContext, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.graph import draw
from orchestrations.models import Instance
from orchestrations.reading import flows
from tests import rows
from tests.reading_statements import reads

pytestmark = pytest.mark.django_db

FLOWS = "/hubs/default/flows/"


def one(name: str) -> str:
    return f"{FLOWS}of/{name}/"


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def region(text: str, name: str) -> str:
    return words(re.search(rf'<section id="region-{name}".*?</section>', text, re.DOTALL)[0])


def start(name: str = "order", status: str = "Completed", *, seconds: float = 10, **columns: object) -> Instance:
    at = timezone.now() - timedelta(minutes=5)
    end = {} if status == "Running" else {"completed_at": at + timedelta(seconds=seconds)}
    return rows.instance(name=name, status=status, created_at=at, started_at=at, **(end | columns))


@pytest.fixture
def declared():
    with registry.preserved():

        @orchestrator(name="greet", version="1.2")
        def greet(context: OrchestrationContext, names: list[str]) -> int:
            """Greets everybody.

            <b>One</b> after the other.
            """
            return len(names)

        yield greet


def test_orchestrators_are_listed_with_their_numbers(viewer, declared):
    for status in ("Completed", "Completed", "Completed", "Failed", "Running"):
        start(status=status)

    text = words(viewer.get(FLOWS).text)

    assert "order no code in the web server 5 0.21 75.0 % 1 10.0 s 10.0 s 1" in text
    assert "greet 1.2 0 0 — 0 — — 0" in text


def test_an_orchestrator_without_code_or_instances_has_a_page_all_the_same(viewer):
    text = viewer.get(one("nothing")).text

    assert "does not have the code" in region(text, "code")
    assert "No failed instance is kept" in region(text, "errors")
    assert "No call was seen in the 0 newest instances" in region(text, "graph")


def test_its_code_says_where_it_is_what_it_takes_and_what_it_is_for(viewer, declared):
    text = viewer.get(one("greet")).text
    code = region(text, "code")

    assert "Version 1.2" in code
    assert re.search(r"tests/interfaces/dashboard/test_flows.py:\d+", code)
    assert "Input list[str]" in code
    assert '"items": { "type": "string" }' in code
    assert "<b>One</b> after the other." in html.unescape(code)
    assert "<b>One</b>" not in text


def test_numbers_are_told_by_how_long_ago_instances_were_started(viewer):
    start(seconds=10)
    start(seconds=20)
    start(status="Failed")
    at = timezone.now() - timedelta(days=3)
    rows.instance(name="order", status="Failed", created_at=at, completed_at=at)

    text = region(viewer.get(one("order")).text, "numbers")

    assert "1 hour 3 2 1 66.7 % 10.0 s 20.0 s" in text
    assert "7 days 4 2 2 50.0 %" in text


def test_failures_of_one_kind_stand_together(viewer):
    for number in range(3):
        start(status="Failed", instance_id=f"n-{number}", error=f"ValueError: {number}", error_fingerprint="aa11")
    start(status="Failed", error="KeyError: 'x'", error_fingerprint="bb22")

    text = viewer.get(one("order")).text

    assert "ValueError: 2 3 n-2" in region(text, "errors")
    assert "All 4 failed instances" in region(text, "errors")
    assert "fingerprint%3Aaa11" in text


def call(task_id: int, kind: EventType, name: str | None = None) -> tuple[EventType, dict[str, object]]:
    return kind, {"task_id": task_id, "name": name}


def test_calls_are_read_from_histories_with_how_many_failed():
    rows.history(
        start(),
        call(1, EventType.TASK_SCHEDULED, "charge"),
        call(2, EventType.TASK_SCHEDULED, "charge"),
        call(3, EventType.SUB_ORCHESTRATION_CREATED, "ship"),
        call(1, EventType.TASK_FAILED),
        call(2, EventType.TASK_COMPLETED),
        call(3, EventType.SUB_ORCHESTRATION_COMPLETED),
    )
    rows.history(
        start("ship"), call(1, EventType.TASK_SCHEDULED, "print_label"), call(2, EventType.ENTITY_CALLED, "take")
    )

    graph = flows.call_graph("default", "order")

    assert [(edge.caller, edge.kind, edge.name, edge.calls, edge.failures) for edge in graph.edges] == [
        ("order", "activity", "charge", 2, 1),
        ("order", "orchestrator", "ship", 1, 0),
        ("ship", "activity", "print_label", 1, 0),
        ("ship", "entity operation", "take", 1, 0),
    ]
    assert graph.instances == 2


def test_an_orchestrator_that_calls_itself_has_an_end():
    rows.history(start(), call(1, EventType.SUB_ORCHESTRATION_CREATED, "order"))

    graph = flows.call_graph("default", "order")

    assert [edge.name for edge in graph.edges] == ["order"]
    assert len(draw(graph).boxes) == 1


def test_a_call_graph_looks_at_no_more_than_it_says(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(flows, "GRAPH_INSTANCES", 2)
    monkeypatch.setattr(flows, "GRAPH_EVENTS", 1)
    monkeypatch.setattr(flows, "GRAPH_ORCHESTRATORS", 2)
    for _ in range(3):
        rows.history(
            start(),
            call(1, EventType.SUB_ORCHESTRATION_CREATED, "ship"),
            call(2, EventType.TASK_SCHEDULED, "beyond"),
        )
    rows.history(start("ship"), call(1, EventType.SUB_ORCHESTRATION_CREATED, "third"))

    with django_assert_num_queries(4):
        graph = flows.call_graph("default", "order")

    assert [(edge.name, edge.calls) for edge in graph.edges] == [("ship", 2), ("third", 1)]
    assert graph.instances == 3


def test_the_drawing_has_each_function_once_and_callers_on_the_left():
    graph = flows.CallGraph(
        "order",
        [
            flows.Edge("order", "activity", "charge", 4, 1),
            flows.Edge("order", "orchestrator", "ship", 4, 0),
            flows.Edge("ship", "activity", "charge", 4, 0),
        ],
        8,
    )

    drawing = draw(graph)

    boxes = {box.name: box for box in drawing.boxes}
    assert len(drawing.boxes) == 3
    assert boxes["order"].x < boxes["ship"].x == boxes["charge"].x
    assert boxes["ship"].y != boxes["charge"].y
    assert [line.is_failing for line in drawing.lines] == [True, False, False]
    assert all(box.x >= 0 and box.x + 220 <= drawing.width and box.y + 40 <= drawing.height for box in drawing.boxes)


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(("path", "queries"), [(FLOWS, 11), (one("order"), 18)])
def test_pages_cost_the_same_queries_whatever_there_is(viewer, django_assert_max_num_queries, count, path, queries):
    for number in range(count):
        rows.history(start(), call(1, EventType.TASK_SCHEDULED, f"a-{number}"))

    with django_assert_max_num_queries(queries + 12) as asked:
        viewer.get(path)

    assert len(reads(asked)) == queries


@pytest.mark.parametrize("path", ["", "of/order/", "of/order/flow-tick/", "of/order/flow-regions/code/"])
def test_it_needs_the_permission_to_view(approver, path):
    assert approver.get(FLOWS + path).status_code == 403


def test_a_name_with_any_characters_has_an_address(viewer):
    start("strange/name #1?")

    page = viewer.get(FLOWS).text
    url = re.search(r'<a href="([^"]+)">strange/name #1\?</a>', page)[1]

    assert "strange/name #1?" in html.unescape(viewer.get(url).text)
