"""The audit trail of a task hub: filters, pages, and what can be taken away of it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from orchestrations.access import audit
from orchestrations.interfaces.dashboard.views import audit as audit_views
from orchestrations.models import AuditEntry
from orchestrations.reading import audit_trail
from tests import rows

AUDIT = "/hubs/default/audit/"


@pytest.fixture
def auditor(sign_in) -> Client:
    browser = sign_in("viewer")
    User.objects.get(username="viewer").user_permissions.add(Permission.objects.get(codename="view_auditentry"))
    return browser


def act(instance_id: str = "order-1", *, minutes: float = 0, **columns: object) -> AuditEntry:
    defaults: dict[str, object] = {"action": "terminate", "actor_name": "dana", "via": "Dashboard"}
    at = rows.NOON + timedelta(minutes=minutes)
    return AuditEntry.objects.create(hub="default", instance_id=instance_id, at=at, **(defaults | columns))


def ids(text: str) -> list[str]:
    return re.findall(r'class="mono id">(?:<a href="[^"]*">)?([^<]+)<', text)


@pytest.fixture
def acts(db) -> None:
    act("order-1", reason="duplicate")
    act("order-2", minutes=1, actor_name="erin")
    act("claim-1", minutes=2, action="purge")
    act("@stock@a", minutes=3, action="signal_entity", via="API", address="192.0.2.7")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["@stock@a", "claim-1", "order-2", "order-1"]),
        ({"who": "erin"}, ["order-2"]),
        ({"action": "purge"}, ["claim-1"]),
        ({"via": "API"}, ["@stock@a"]),
        ({"instance": "order-"}, ["order-2", "order-1"]),
        ({"instance": "ORDER-"}, []),
        ({"since": "2026-03-01T12:02"}, ["@stock@a", "claim-1"]),
        ({"until": "2026-03-01T12:01"}, ["order-1"]),
        ({"since": "2026-03-01T12:01", "until": "2026-03-01T12:02"}, ["order-2"]),
        ({"who": "da\x00na"}, []),
    ],
)
def test_it_shows_what_the_filter_lets_through_the_latest_first(auditor, acts, query, found):
    response = auditor.get(AUDIT, query)

    assert ids(response.text) == found if "\x00" not in query.get("who", "") else response.status_code == 422


@pytest.mark.parametrize("deed", ["voted", "asked", "delegated", "expired", "escalated", "overridden", "stopped_job"])
def test_every_deed_can_be_filtered_by(auditor, acts, deed):
    act("order-9", minutes=9, action=deed)

    response = auditor.get(AUDIT, {"action": deed})

    assert ids(response.text) == ["order-9"]
    assert f'<option value="{deed}" selected>' in response.text


def test_only_what_is_ever_recorded_is_offered():
    assert not {"answer", "override_task", "view", "view_payloads"} & set(audit.DEEDS)
    assert {"voted", "overridden", "terminate", "raise_unvalidated", "clean_entities"} <= set(audit.DEEDS)


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"was": "Running", "recursive": True}, "was Running; with its sub-orchestrations"),
        (
            {"set": {"team": "b", "owner": "ada"}, "removed": ["old"], "before": {"team": "a", "old": "1"}},
            "tag team: a → b; tag owner: ada; tag old removed, was 1",
        ),
        ({"event": "approve", "title": "Pay?", "outcome": "reject"}, "event approve; “Pay?”; answer: reject"),
        ({"title": "Pay?", "to": "erin"}, "“Pay?”; to erin"),
        ({"removed": 3, "released": 1}, "3 removed; 1 released"),
        ({"to": "dana", "acts": ["start"], "former": {"acts": ["purge"]}}, "to dana; of start; before: of purge"),
        ({"made_up": 1}, "made up: 1"),
        ({}, ""),
    ],
)
def test_the_details_of_an_act_are_told_in_words(auditor, details, words):
    act(details=details)

    assert f'<td class="small">{words}' in auditor.get(AUDIT).text
    assert f'<td class="small">{words}' in auditor.get("/hubs/default/i/order-1/audit/").text


def test_a_row_leads_to_what_it_is_about(auditor):
    for name in ("@stock@a", "@", ""):
        act(name, details={"job": 7})

    text = auditor.get(AUDIT).text

    assert 'href="/hubs/default/entities/stock/a/">@stock@a</a>' in text
    assert 'href="/hubs/default/entities/">@</a>' in text
    assert text.count('href="/hubs/default/bulk/7/"') == 3
    assert 'href="/hubs/default/i//' not in text


def test_its_moments_are_in_the_zone_of_whoever_reads(auditor, acts, read_in):
    read_in(auditor, "Asia/Kolkata")

    response = auditor.get(AUDIT, {"since": "2026-03-01T17:31", "until": "2026-03-01T17:32"})

    assert ids(response.text) == ["order-2"]
    assert "From (Kolkata)" in response.text
    assert "To (Kolkata)" in response.text
    assert 'value="2026-03-01T17:31"' in response.text


def test_a_filter_that_can_not_be_read_is_refused_in_words(auditor):
    response = auditor.get(AUDIT, {"since": "yesterday"})

    assert response.status_code == 422
    assert "Enter a valid date/time" in response.text


def test_it_goes_to_older_and_newer_pages_also_between_acts_of_one_moment(auditor):
    for number in range(120):
        act(f"i-{number:03}")

    first = auditor.get(AUDIT, {"action": "terminate"}).text
    older = html.unescape(re.search(r'href="([^"]+)" rel="next"', first)[1])
    second = auditor.get(older).text
    newer = html.unescape(re.search(r'href="([^"]+)" rel="prev"', second)[1])

    assert ids(first) == [f"i-{number:03}" for number in range(119, 69, -1)]
    assert ids(second) == [f"i-{number:03}" for number in range(69, 19, -1)]
    assert ids(auditor.get(newer).text) == ids(first)
    assert auditor.get(AUDIT, {"cursor": "made-up"}).status_code == 404


@pytest.mark.parametrize("count", [1, 50])
def test_it_costs_the_same_queries_for_one_act_and_for_fifty(auditor, django_assert_num_queries, count):
    for _ in range(count):
        act()

    with django_assert_num_queries(5):
        auditor.get(AUDIT)


def test_an_empty_trail_and_a_filter_without_a_match_say_which(auditor):
    assert "Nothing has been done yet" in auditor.get(AUDIT).text
    assert "No act matches" in auditor.get(AUDIT, {"who": "nobody"}).text


def test_the_export_has_all_that_the_filter_lets_through(auditor, acts, monkeypatch):
    monkeypatch.setattr(audit_trail, "CHUNK", 1)

    response = auditor.get(f"{AUDIT}export.csv", {"instance": "order-"})
    *table, last = csv.DictReader(io.StringIO(response.getvalue().decode()))

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''audit-default-")
    assert [(row["instance_id"], row["actor"], row["reason"]) for row in table] == [
        ("order-2", "erin", ""),
        ("order-1", "dana", "duplicate"),
    ]
    assert last["at"] == "Complete: 2 in all."


def test_the_export_as_json_has_an_object_on_each_line(auditor, acts):
    lines = auditor.get(f"{AUDIT}export.ndjson").getvalue().decode().splitlines()

    *entries, last = [json.loads(line) for line in lines]
    assert [entry["instance_id"] for entry in entries] == ["@stock@a", "claim-1", "order-2", "order-1"]
    assert (entries[0]["address"], entries[0]["at"]) == ("192.0.2.7", "2026-03-01T12:03:00+00:00")
    assert last == {"complete": True, "rows": 4}


def test_an_export_ends_at_its_bound_and_says_so(auditor, acts, monkeypatch):
    monkeypatch.setattr(audit_views, "AUDIT_EXPORTED", 3)

    lines = auditor.get(f"{AUDIT}export.ndjson").getvalue().splitlines()
    table = list(csv.reader(io.StringIO(auditor.get(f"{AUDIT}export.csv").getvalue().decode())))

    assert (len(lines), json.loads(lines[-1])) == (4, {"complete": False, "rows": 3})
    assert table[-1] == ["Cut: the first 3. The rest is left out, narrow the filter."]


@pytest.mark.parametrize("reason", ["=HYPERLINK(1)", "+1", "-1", "@sum", "\tx"])
def test_no_cell_of_an_export_is_a_formula(auditor, reason):
    act(reason=reason)

    text = auditor.get(f"{AUDIT}export.csv").getvalue().decode()

    assert next(csv.DictReader(io.StringIO(text)))["reason"] == f"'{reason}"


def test_a_first_page_hears_of_new_acts_of_its_filter(auditor, acts):
    page = auditor.get(AUDIT, {"who": "dana"}).text
    tick, newer, watched = (
        html.unescape(re.search(rf'id="newer"[^>]*{name}="([^"]+)"', page)[1])
        for name in ("data-tick", "hx-get", "data-watch")
    )
    assert auditor.get(tick, {"v": watched}).status_code == 204

    act(actor_name="erin")
    assert auditor.get(tick, {"v": watched})["HX-Trigger"] == '{"dash:newer": {}}'
    assert "Show" not in auditor.get(newer).text
    act(actor_name="dana")
    again = auditor.get(newer).text

    assert "Show 1 new act<" in again and f'href="{AUDIT}?who=dana"' in again
    assert auditor.get(tick, {"v": re.search(r'data-watch="([^"]+)"', again)[1]}).status_code == 204


def test_an_older_page_stays_as_it_is(auditor):
    for number in range(60):
        act(minutes=number)
    older = html.unescape(re.search(r'href="([^"]+)" rel="next"', auditor.get(AUDIT).text)[1])

    assert "data-tick" not in auditor.get(older).text


def test_new_acts_are_counted_up_to_a_bound(auditor, acts, monkeypatch):
    monkeypatch.setattr(audit_trail, "NEWER_COUNTED", 2)

    assert "Show 2+ new acts<" in auditor.get(f"{AUDIT}newer/", {"newest": "0"}).text
    assert auditor.get(f"{AUDIT}newer/", {"newest": "x"}).status_code == 404


@pytest.mark.parametrize("path", ["", "export.csv", "newer/", "tick/"])
def test_it_needs_a_permission_of_its_own(viewer, path):
    response = viewer.get(AUDIT + path)

    assert response.status_code == 403
    assert "orchestrations.view_auditentry" in response.text


def test_an_unknown_kind_of_export_is_not_found(auditor):
    assert auditor.get(f"{AUDIT}export.xlsx").status_code == 404
