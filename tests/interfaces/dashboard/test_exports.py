"""The instances of a filter as a file."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.db import OperationalError

from orchestrations.interfaces.dashboard.counting import Counts
from orchestrations.interfaces.dashboard.views import exports
from tests import rows

EXPORT = "/hubs/default/instances/export."
CHOOSE = "/hubs/default/instances/export/"


def read(browser, kind: str, **parameters: object) -> str:
    response = browser.get(f"{EXPORT}{kind}", parameters)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def test_csv_has_a_line_for_each_instance_of_the_filter(viewer):
    rows.instance("one", status="Failed", error="=cmd()", tags={"a": "b"}, minutes=1)
    rows.instance("two", status="Failed", minutes=2)
    rows.instance("three")

    found = list(csv.DictReader(io.StringIO(read(viewer, "csv", q="status:failed"))))[:-1]

    assert [row["instance_id"] for row in found] == ["two", "one"]
    assert found[1]["error"] == "'=cmd()"
    assert json.loads(found[1]["tags"]) == {"a": "b"}
    assert found[1]["created_at"] == "2026-03-01T12:01:00+00:00"
    assert "input" not in found[0]


def test_json_has_an_object_on_a_line(viewer):
    parent = rows.instance("one", tags={"a": "b"})
    rows.instance("child", parent=parent)

    found = [json.loads(line) for line in read(viewer, "ndjson", q="children").splitlines()[:-1]]

    assert {row["instance_id"]: row["parent_instance_id"] for row in found} == {"one": None, "child": "one"}


def test_payloads_need_their_own_right(viewer, operator):
    rows.instance("one", input='{"order": 7}')

    assert viewer.get(f"{EXPORT}ndjson", {"payloads": "1"}).status_code == 403
    assert json.loads(read(operator, "ndjson", payloads="1").splitlines()[0])["input"] == {"order": 7}
    assert "view_payloads" in viewer.get(CHOOSE).text
    assert "view_payloads" not in operator.get(CHOOSE).text


def test_a_payload_whose_file_is_gone_says_so_in_its_place_and_the_rest_follows(operator):
    rows.instance("two", input="blob:v1:12:durable/payloads/default/00/none.json.gz", minutes=2)
    rows.instance("one", input='{"order": 7}', minutes=1)

    found = [json.loads(line) for line in read(operator, "ndjson", payloads="1").splitlines()[:2]]

    assert "is missing" in found[0]["input"]["unreadable"]
    assert found[1]["input"] == {"order": 7}


def test_it_says_first_what_it_would_be(viewer):
    rows.instance(status="Failed")

    assert "<strong>1</strong> instance of" in viewer.get(CHOOSE, {"q": "status:failed"}).text


def test_the_ticked_ones_are_exported_alone(viewer):
    chosen = rows.instance("one")
    rows.instance("two")

    assert [line.split(",")[0] for line in read(viewer, "csv", pk=chosen.pk).splitlines()[1:-1]] == ["one"]


def test_it_ends_at_its_limit_and_says_so_in_the_last_line(viewer, monkeypatch):
    monkeypatch.setattr(exports, "INSTANCES_EXPORTED", 3)
    for number in range(5):
        rows.instance(f"i-{number}", minutes=number)

    *told, last = read(viewer, "ndjson").splitlines()
    assert [json.loads(line)["instance_id"] for line in told] == ["i-4", "i-3", "i-2"]
    assert json.loads(last) == {"complete": False, "rows": 3}
    table = list(csv.reader(io.StringIO(read(viewer, "csv"))))
    assert [line[0] for line in table[1:]] == [
        "i-4", "i-3", "i-2", "Cut: the first 3. The rest is left out, narrow the filter."
    ]  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_last_line_says_that_nothing_is_left_out(viewer, monkeypatch, number):
    monkeypatch.setattr(exports, "INSTANCES_EXPORTED", 2)
    for _ in range(number):
        rows.instance()

    assert json.loads(read(viewer, "ndjson").splitlines()[-1]) == {"complete": True, "rows": number}
    assert list(csv.reader(io.StringIO(read(viewer, "csv"))))[-1] == [f"Complete: {number} in all."]


def test_a_file_that_breaks_off_has_no_last_line(viewer, monkeypatch):
    def breaks_off(chosen, limit, *, payloads):
        yield {"instance_id": "one"}
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(exports, "exported", breaks_off)
    sent = []
    with pytest.raises(OperationalError):
        for piece in viewer.get(f"{EXPORT}ndjson"):
            sent.append(piece)

    assert [json.loads(line) for line in sent] == [{"instance_id": "one"}]


def test_the_page_says_before_that_the_rest_may_be_left_out(viewer, monkeypatch):
    rows.instance()
    assert "the rest is left out" not in viewer.get(CHOOSE).text
    monkeypatch.setattr(exports, "count", lambda hub, where: Counts(by_status={}, total="10,000+"))

    assert "the rest is left out, and the last line of the file says so" in viewer.get(CHOOSE).text


@pytest.mark.parametrize("address", [f"{EXPORT}xlsx", f"{EXPORT}csv?q=status:sleepy"])
def test_what_is_no_export_is_not_found(viewer, address):
    assert viewer.get(address).status_code == 404
