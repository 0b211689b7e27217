"""Dead letters in the dashboard: what was given up and why, and putting it back once, with a right and a reason."""

from __future__ import annotations

import html
import re

import pytest
from django.utils import timezone

from orchestrations import entity
from orchestrations.models import AuditEntry, DeadLetter, InboxMessage
from tests import rows
from tests.functions import registered

LETTERS = "/hubs/default/dead-letters/"


def letter(instance_id: str, instance_pk: int = 1, **columns: object) -> DeadLetter:
    return DeadLetter.objects.create(
        **{"hub": "default", "kind": "activity", "instance_pk": instance_pk, "instance_id": instance_id, "execution": 1}
        | {"position": 1, "name": "charge", "deaths": 3, "error": "It died <b>."} | columns
    )  # fmt: skip


def of_failed(instance_id: str = "one") -> DeadLetter:
    instance = rows.instance(instance_id, status="Failed", completed_at=timezone.now())
    return letter(instance_id, instance.pk)


def names(text: str) -> list[str]:
    return re.findall(r'<td class="mono id" data-label="Of">(?:<a[^>]*>)?([^<]+)<', text)


def test_those_that_wait_are_listed_and_those_that_were_put_back_apart(viewer):
    letter("one")
    letter("two", position=2, put_back_at=timezone.now(), put_back_by="dana")
    letter("elsewhere", hub="other", position=3)

    waiting, put_back = viewer.get(LETTERS).text, viewer.get(LETTERS, {"tab": "put-back"}).text

    assert names(waiting) == ["one"]
    assert "It died &lt;b&gt;." in waiting
    assert names(put_back) == ["two"] and "by dana" in put_back
    assert viewer.get(LETTERS, {"tab": "lost"}).status_code == 404
    assert viewer.get(LETTERS, {"cursor": "made-up"}).status_code == 404
    assert viewer.get(f"{LETTERS}{DeadLetter.objects.get(hub='other').pk}/").status_code == 404


def test_they_come_by_pages_with_few_queries(viewer, django_assert_max_num_queries):
    assert "Nothing was given up" in viewer.get(LETTERS).text
    for number in range(60):
        letter(f"i-{number:02}", position=number)

    with django_assert_max_num_queries(6):
        first = viewer.get(LETTERS).text
    older = viewer.get(html.unescape(re.search(r'href="([^"]+)" rel="next"', first)[1])).text

    assert names(first) + names(older) == [f"i-{number:02}" for number in reversed(range(60))]


def test_a_failed_instance_is_rewound_with_a_reason_that_the_audit_keeps(operator):
    where = f"{LETTERS}{of_failed().pk}/"

    refused = operator.post(where, {"reason": ""})
    done = operator.post(where, {"reason": "the library is mended"}, follow=True)

    assert refused.status_code == 422
    assert "It is put back" in done.text and "by operator" in done.text and "Put it back" not in done.text
    assert InboxMessage.objects.get().type == "ExecutionRewound"
    told = {entry.action: (entry.actor_name, entry.reason, entry.via) for entry in AuditEntry.objects.all()}
    assert set(told) == {"put_back", "rewind"}
    assert told["put_back"] == ("operator", "the library is mended", "Dashboard")
    assert AuditEntry.objects.get(action="put_back").details == {"activity": "charge"}


def test_an_operation_is_signalled_again(operator):
    row = rows.entity("@counter@A-7", "1")
    dead = letter("@counter@A-7", row.instance_id, kind="operation", name="add", payload="41")
    with registered():
        entity(name="counter")(lambda context: None)
        assert operator.post(f"{LETTERS}{dead.pk}/", {"reason": "mended"}).status_code == 302

    message = InboxMessage.objects.get()
    assert (message.type, message.name, message.payload) == ("EntityOperationSignaled", "add", "41")
    assert AuditEntry.objects.get(action="put_back").reason == "mended"


def test_what_cannot_be_put_back_says_why(operator):
    dead = of_failed()
    where = f"{LETTERS}{dead.pk}/"
    operator.post(where, {"reason": "mended"})
    InboxMessage.objects.all().delete()

    again = operator.post(where, {"reason": "again"})

    assert again.status_code == 409
    assert "was put back already" in again.text
    assert not InboxMessage.objects.exists()
    ended = letter("two", rows.instance("two", status="Completed", completed_at=timezone.now()).pk, position=2)
    assert operator.post(f"{LETTERS}{ended.pk}/", {"reason": "mended"}).status_code == 409
    ended.refresh_from_db()
    assert ended.put_back_at is None


@pytest.mark.parametrize("kind, permission", [("activity", "rewind_instance"), ("operation", "signal_entity")])
def test_each_needs_its_right(viewer, approver, kind, permission):
    where = f"{LETTERS}{letter('one', kind=kind).pk}/"

    page = viewer.get(where).text

    assert f"orchestrations.{permission}" in page and "Put it back" not in page
    assert viewer.post(where, {"reason": "x"}).status_code == 403
    assert approver.get(LETTERS).status_code == approver.get(where).status_code == 403
    assert not AuditEntry.objects.exists()
