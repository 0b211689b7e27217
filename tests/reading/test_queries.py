"""The read side: pages by keyset, capped counts, filters, history pages and open waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from orchestrations import InstanceNotFound
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import InvalidCursor
from orchestrations.limits import LIST_PAGE_MAXIMUM
from orchestrations.models import AuditEntry, Instance, OpenWait, WorkerLease
from orchestrations.models.clock import Now
from orchestrations.reading import counts, queries
from orchestrations.reading.queries import InstanceFilter
from tests import rows
from tests.rows import HUB

pytestmark = pytest.mark.django_db

Status = RuntimeStatus


def ids(page) -> list[str]:
    return [instance.instance_id for instance in page.items]


# One instance


def test_an_instance_is_read_without_its_payloads():
    rows.instance("order", input="1", output="2")

    instance = queries.get_instance(HUB, "order")

    assert set(queries.PAYLOAD_COLUMNS) <= instance.get_deferred_fields()


def test_payloads_come_on_demand(django_assert_num_queries):
    rows.instance("order", input="1")

    with django_assert_num_queries(1):
        assert queries.get_instance(HUB, "order", payloads=True).input == "1"


@pytest.mark.parametrize("instance_id", ["nobody", "", "a\x00b", "a\ud800b"])
def test_an_unknown_instance_is_told(instance_id):
    with pytest.raises(InstanceNotFound):
        queries.get_instance(HUB, instance_id)


def test_another_hub_is_another_world():
    rows.instance("order", hub="other")

    with pytest.raises(InstanceNotFound):
        queries.get_instance(HUB, "order")
    assert not queries.list_instances(HUB).items


# Lists


def test_a_list_is_newest_first_and_loads_no_payload(django_assert_num_queries):
    for number in range(3):
        rows.instance(f"order-{number}", minutes=number, input="1")

    with django_assert_num_queries(1):
        page = queries.list_instances(HUB)
        assert ids(page) == ["order-2", "order-1", "order-0"]
        assert [instance.waiting_for for instance in page.items] == [""] * 3

    assert {"input", "output", "waits"} <= page.items[0].get_deferred_fields()
    assert (page.next_cursor, page.previous_cursor) == (None, None)


@pytest.fixture(params=["by Python", "by the database"])
def simultaneous(request):
    """Seven instances, of which five were created in the same instant, as one clock or the other writes it."""
    now = Now() if request.param == "by the database" else rows.NOON
    for number in range(7):
        rows.instance(f"order-{number}")
    Instance.objects.update(created_at=now)
    Instance.objects.filter(instance_id="order-0").update(created_at=F("created_at") - timedelta(minutes=1))
    Instance.objects.filter(instance_id="order-6").update(created_at=F("created_at") + timedelta(minutes=1))


def test_pages_follow_each_other_without_gap_or_repetition(simultaneous):
    seen, cursor = [], None
    while True:
        page = queries.list_instances(HUB, cursor=cursor, limit=2)
        seen += ids(page)
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == ["order-6", "order-5", "order-4", "order-3", "order-2", "order-1", "order-0"]


def test_the_way_back_shows_the_same_pages(simultaneous):
    first = queries.list_instances(HUB, limit=3)
    second = queries.list_instances(HUB, cursor=first.next_cursor, limit=3)
    third = queries.list_instances(HUB, cursor=second.next_cursor, limit=3)
    back = queries.list_instances(HUB, cursor=third.previous_cursor, limit=3)
    start = queries.list_instances(HUB, cursor=back.previous_cursor, limit=3)

    assert ids(back) == ids(second)
    assert ids(start) == ids(first)
    assert start.previous_cursor is None
    assert start.next_cursor is not None


def test_new_instances_do_not_shift_the_next_page(simultaneous):
    first = queries.list_instances(HUB, limit=3)
    expected = ids(queries.list_instances(HUB, cursor=first.next_cursor, limit=3))
    rows.instance("newest", created_at=Now())

    assert ids(queries.list_instances(HUB, cursor=first.next_cursor, limit=3)) == expected


@pytest.mark.parametrize("cursor", ["x", "a:b:c", "\x00", "é", "W10:1u:abc"])
def test_a_forged_cursor_is_refused(cursor):
    with pytest.raises(InvalidCursor):
        queries.list_instances(HUB, cursor=cursor)


def test_the_cursor_of_another_list_is_refused(simultaneous):
    cursor = queries.list_instances(HUB, limit=1).next_cursor

    with pytest.raises(InvalidCursor):
        queries.audit(HUB, cursor=cursor)


def test_a_page_has_a_largest_size():
    Instance.objects.bulk_create(
        Instance(hub=HUB, instance_id=str(number), name="echo") for number in range(LIST_PAGE_MAXIMUM + 1)
    )

    assert len(queries.list_instances(HUB, limit=1_000_000).items) == LIST_PAGE_MAXIMUM


@pytest.fixture
def mixed():
    parent = rows.instance("a-parent", minutes=0, status="Completed", name="bill")
    rows.instance("a-child", minutes=1, status="Failed", parent=parent, error_fingerprint="0123456789abcdef")
    rows.instance("A-upper", minutes=2, status="Running")
    rows.instance("a%", minutes=3, status="Pending")
    return parent


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (InstanceFilter(statuses=(Status.FAILED,)), {"a-child"}),
        (InstanceFilter(statuses=(Status.FAILED, Status.RUNNING)), {"a-child", "A-upper"}),
        (InstanceFilter(name="bill"), {"a-parent"}),
        (InstanceFilter(name="bi"), set()),
        (InstanceFilter(id_prefix="a-"), {"a-parent", "a-child"}),
        (InstanceFilter(id_prefix="a%"), {"a%"}),
        (InstanceFilter(id_prefix="A"), {"A-upper"}),
        (InstanceFilter(id_prefix="a\x00"), set()),
        (InstanceFilter(name="\ud800"), set()),
        (InstanceFilter(error_fingerprint="0123456789abcdef"), {"a-child"}),
        (InstanceFilter(error_fingerprint="\x00"), set()),
        (InstanceFilter(created_from=rows.NOON + timedelta(minutes=2)), {"A-upper", "a%"}),
        (InstanceFilter(created_to=rows.NOON + timedelta(minutes=2)), {"a-parent", "a-child"}),
        (InstanceFilter(roots_only=True), {"a-parent", "A-upper", "a%"}),
    ],
)
def test_filters_narrow_the_list(mixed, where, found):
    assert set(ids(queries.list_instances(HUB, where))) == found
    assert queries.count_instances(HUB, where).value == len(found)


def test_children_are_found_by_their_parent(mixed):
    assert ids(queries.children(mixed)) == ["a-child"]
    assert queries.live_children_count(mixed).value == 0


def test_descendants_of_all_levels_are_found(mixed):
    child = Instance.objects.get(instance_id="a-child")
    grandchild = rows.instance("grandchild", parent=child)

    assert queries.descendants(mixed.pk) == [mixed.pk, child.pk, grandchild.pk]


# Counts


def test_each_status_is_counted_in_one_query(django_assert_num_queries):
    for status, number in ((Status.RUNNING, 3), (Status.FAILED, 1)):
        for _ in range(number):
            rows.instance(status=status.value)
    rows.instance(hub="other")

    with django_assert_num_queries(1):
        found = counts.status_counts(HUB)

    assert list(found) == list(RuntimeStatus)
    assert {status: count.value for status, count in found.items() if count.value} == {
        Status.RUNNING: 3,
        Status.FAILED: 1,
    }


def test_counts_of_an_empty_hub_are_zero():
    assert all(count.value == 0 for count in counts.status_counts(HUB).values())


def test_counts_respect_the_filter():
    rows.instance("a")
    rows.instance("b")

    assert counts.status_counts(HUB, InstanceFilter(id_prefix="a"))[Status.RUNNING].value == 1


def test_counting_ends_at_the_cap():
    for _ in range(4):
        rows.instance()

    assert str(queries.count_instances(HUB, cap=3)) == "3+"
    assert str(queries.count_instances(HUB, cap=4)) == "4"
    assert str(counts.status_counts(HUB, cap=3)[Status.RUNNING]) == "3+"


@pytest.fixture
def one_in_thousands(db) -> None:
    Instance.objects.bulk_create(
        Instance(
            hub=HUB, instance_id=f"instance-{number}", name="weekly_report" if number == 7 else f"bill_{number % 3}"
        )
        for number in range(3_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE durable_instance")


@pytest.mark.usefixtures("one_in_thousands")
@pytest.mark.parametrize("patterns", [("*_report",), ("*port", "*_reports")], ids=["one", "several"])
def test_what_ends_as_a_pattern_says_is_found_along_the_index_of_names(patterns, django_assert_num_queries):
    where = InstanceFilter(visible=patterns)
    plan = queries.filter_instances(HUB, where).order_by("-created_at", "-pk")[:51].explain()

    assert "durable_inst_name" in plan
    with django_assert_num_queries(2):
        assert [row.instance_id for row in queries.list_instances(HUB, where).items] == ["instance-7"]
    assert queries.count_instances(HUB, where).value == 1


@pytest.mark.usefixtures("one_in_thousands")
def test_beyond_a_number_of_names_rows_are_compared_one_by_one(monkeypatch):
    monkeypatch.setattr("orchestrations.search.names.PATTERN_NAMES", 3)

    found = queries.list_instances(HUB, InstanceFilter(visible=("*_report", "*_2"))).items

    assert {row.name for row in found} == {"bill_2"}, "the newest page"
    assert queries.count_instances(HUB, InstanceFilter(visible=("*_report",))).value == 1


@pytest.mark.usefixtures("one_in_thousands")
def test_a_pattern_that_no_name_matches_finds_nothing():
    assert queries.list_instances(HUB, InstanceFilter(visible=("*_nothing",))).items == []


def test_names_are_listed_in_one_statement(django_assert_num_queries):
    for name in ("b", "a", "c"):
        rows.instance(name=name)

    with django_assert_num_queries(1):
        queries.orchestrator_names(HUB)


def test_names_are_listed_once_each_in_order():
    for name in ("b", "a", "b", "c"):
        rows.instance(name=name)
    rows.instance(name="elsewhere", hub="other")

    assert queries.orchestrator_names(HUB) == ["a", "b", "c"]
    assert queries.orchestrator_names(HUB, limit=2) == ["a", "b"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="reads PostgreSQL's plans")
@pytest.mark.parametrize(
    "where",
    [
        InstanceFilter(),
        InstanceFilter(statuses=(Status.FAILED,)),
        InstanceFilter(name="echo"),
    ],
    ids=["all", "status", "name"],
)
def test_no_list_scans_the_table(where):
    Instance.objects.bulk_create(
        Instance(
            hub=HUB,
            instance_id=f"instance-{number}",
            name=("echo", "bill")[number % 2],
            status="Failed" if number % 50 == 0 else "Completed",
        )
        for number in range(5_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE durable_instance")
    page = queries.list_instances(HUB, where)
    assert page.next_cursor
    place = queries.filter_instances(HUB, where).order_by("-created_at", "-pk")

    assert "Seq Scan" not in place[:51].explain()


def test_failures_of_one_kind_are_found_along_their_index():
    Instance.objects.bulk_create(
        Instance(
            hub=HUB,
            instance_id=f"instance-{number}",
            name="echo",
            status="Failed",
            error_fingerprint=f"{number % 200:016x}" if number % 2 else "",
        )
        for number in range(2_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE durable_instance")
    alike = queries.filter_instances(HUB, InstanceFilter(error_fingerprint=f"{7:016x}"))

    assert "durable_inst_alike" in alike.order_by("-created_at", "-pk")[:51].explain()
    assert alike.count() == 10


# History


@pytest.fixture
def long_history():
    instance = rows.instance("order")
    rows.history(
        instance, *[(EventType.EVENT_RAISED, {"name": str(number), "payload": "x" * 600}) for number in range(5)]
    )
    return instance


def test_history_comes_in_pages(long_history, django_assert_num_queries):
    with django_assert_num_queries(1):
        page = queries.history(long_history, limit=3)

    assert [event.sequence for event in page.events] == [1, 2, 3]
    rest = queries.history(long_history, after=page.next_after, limit=3)
    assert [event.sequence for event in rest.events] == [4, 5]
    assert rest.next_after is None


def test_a_full_last_page_has_no_next_one(long_history):
    assert queries.history(long_history, limit=5).next_after is None


def test_history_pages_hold_only_the_beginning_of_payloads(long_history, django_assert_num_queries):
    event = queries.history(long_history).events[0]

    with django_assert_num_queries(0):
        assert (len(event.payload_preview), event.payload_length) == (500, 600)
    assert "payload" in event.get_deferred_fields()
    assert len(queries.history_event(long_history, 1, 1).payload) == 600
    assert queries.history_event(long_history, 1, 99) is None


def test_history_is_that_of_one_execution(long_history):
    long_history.execution = 2
    rows.history(long_history, (EventType.EXECUTION_STARTED, {}), execution=2)

    assert [event.type for event in queries.history(long_history).events] == ["ExecutionStarted"]
    assert len(queries.history(long_history, execution=1).events) == 5
    assert queries.executions(long_history) == [1, 2]


def test_history_can_be_narrowed_to_types(long_history):
    rows.history(long_history, (EventType.TIMER_FIRED, {}))

    page = queries.history(long_history, types=[EventType.TIMER_FIRED])
    assert [event.sequence for event in page.events] == [6]


# Waits


@pytest.fixture
def waits():
    instance = rows.instance("order", input="1")
    return {
        "technical": rows.wait(instance, "callback"),
        "soon": rows.wait(instance, "soon", title="Soon?", due_at=rows.NOON, request={"groups": ["buyers"]}),
        "later": rows.wait(
            instance, "later", title="Later?", due_at=rows.NOON + timedelta(hours=1), request={"groups": ["sellers"]}
        ),
        "ever": rows.wait(instance, "ever", title="Ever?", request={"groups": ["buyers"]}),
    }


def test_waits_are_listed_by_urgency(waits, django_assert_num_queries):
    with django_assert_num_queries(1):
        found = queries.open_waits(HUB)
        assert [wait.name for wait in found] == ["soon", "later", "callback", "ever"]
        assert {wait.instance.instance_id for wait in found} == {"order"}
    assert "input" in found[0].instance.get_deferred_fields()


def test_waits_can_be_those_of_one_instance(waits):
    other = rows.instance("other")

    assert queries.open_waits(HUB, instance=other) == []
    assert len(queries.open_waits(HUB, instance=waits["soon"].instance)) == 4


def test_a_wait_that_is_gone_is_none(waits):
    assert queries.get_wait(HUB, waits["soon"].pk).title == "Soon?"
    OpenWait.objects.all().delete()
    assert queries.get_wait(HUB, waits["soon"].pk) is None


# Audit and workers


def test_the_audit_trail_is_newest_first():
    for number in range(5):
        AuditEntry.objects.create(
            hub=HUB, instance_id=f"order-{number % 2}", action=str(number), actor_name="a", via="API"
        )

    first = queries.audit(HUB, limit=3)
    assert [entry.action for entry in first.items] == ["4", "3", "2"]
    assert [entry.action for entry in queries.audit(HUB, cursor=first.next_cursor).items] == ["1", "0"]
    assert [entry.action for entry in queries.audit(HUB, "order-1").items] == ["3", "1"]


def test_workers_are_listed_by_name():
    for name in ("b:2", "a:1"):
        WorkerLease.objects.create(hub=HUB, worker=name, host=name[0], pid=1, expires_at=rows.NOON)

    assert [worker.worker for worker in queries.workers(HUB)] == ["a:1", "b:2"]
