"""Entities in the dashboard: found, looked at, signalled and cleaned up."""

from __future__ import annotations

import json
import re

import pytest

from orchestrations import entity
from orchestrations.core.entities import Caller, encode_callers
from orchestrations.core.events import EventType
from orchestrations.models import AuditEntry, Entity, Grant, InboxMessage
from orchestrations.testing import InProcessWorker
from tests import rows
from tests.functions import registered

LIST = "/hubs/default/entities/"


@pytest.fixture(autouse=True)
def functions():
    with registered():

        @entity
        def counter(context):
            context.set_state((context.get_state(lambda: 0)) + (context.get_input() or 1))

        yield


def test_entities_are_found_by_name_and_the_beginning_of_the_key(operator):
    rows.entity("@counter@north-1", "1")
    rows.entity("@counter@south-1", "2", minutes=1)
    rows.entity("@lamp@north-1", "3", minutes=2)
    rows.entity("@counter@gone", None)

    assert [name for name in ("north-1", "south-1", "@lamp@", "gone") if name in operator.get(LIST).text] == [
        "north-1",
        "south-1",
        "@lamp@",
    ]
    page = operator.get(LIST, {"name": "Counter", "key": "no"}).text
    assert "@counter@north-1" in page
    assert "south-1" not in page and "@lamp@" not in page
    assert "@counter@gone" in operator.get(LIST, {"deleted": "on"}).text
    assert "No entity matches" in operator.get(LIST, {"name": "nothing"}).text


def test_the_list_is_paged_by_keyset_with_few_queries(operator, django_assert_max_num_queries):
    for number in range(60):
        rows.entity(f"@counter@{number}", "1", minutes=number)

    with django_assert_max_num_queries(5):
        first = operator.get(LIST).text

    assert "@counter@59<" in first and "@counter@9<" not in first
    older = first.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "@counter@9<" in operator.get(older).text
    assert operator.get(LIST, {"cursor": "made-up"}).status_code == 404


def test_an_entity_shows_its_state_lock_queue_and_who_asked(operator, django_assert_max_num_queries):
    rows.instance("order-7")
    row = rows.entity("@counter@north~1", json.dumps({"count": 41}), locked_by="order-7", backlog=2)
    InboxMessage.objects.create(
        hub=row.hub,
        instance=row.instance,
        type="EntityOperationSignaled",
        name="add",
        attributes=json.dumps({"owner": "order-8"}),
        created_at=rows.NOON,
        visible_at=rows.NOON,
    )
    AuditEntry.objects.create(
        hub=row.hub,
        instance_id="@counter@north~1",
        action="signal_entity",
        actor_name="ada",
        via="API",
        details={"operation": "add"},
    )

    with django_assert_max_num_queries(8):
        page = operator.get(f"{LIST}counter/north~7E1/").text

    assert "&quot;count&quot;: 41" in page
    assert 'href="/hubs/default/i/order-7/"' in page and "2 messages wait for it" in page
    assert 'Signal <span class="mono">add</span>' in page
    assert '<a href="/hubs/default/i/order-8/">order-8</a>' in page and ">next<" in page
    assert "ada" in page


def test_it_shows_whose_operations_it_carried_out_last(operator, approver):
    at = rows.NOON.isoformat()
    callers = [Caller(at, "order-7", "add", True, True), Caller(at, "<b>eve</b>", "reset", False, False)]
    row = rows.entity("@counter@a", "1", callers=encode_callers(callers))

    page = operator.get(f"{LIST}counter/a/").text.partition("Last callers")[2]
    assert page.index("eve") < page.index("order-7")
    assert '<a href="/hubs/default/i/order-7/">order-7</a>' in page and "Call" in page
    assert "&lt;b&gt;eve&lt;/b&gt;</td>" in page and "Signal" in page

    Entity.objects.filter(pk=row.pk).update(callers=None)
    assert "None is known yet." in operator.get(f"{LIST}counter/a/").text


@pytest.mark.parametrize(
    ("event", "columns", "words"),
    [
        ("EntityOperationCalled", {"attributes": '{"owner": "@other@1"}'}, ("Call", ">@other@1<", ">next<")),
        (
            "EntityLockRequested",
            {"name": None, "visible_at": None},
            ("Asks for the lock", "—", "when the lock is free"),
        ),
        ("EntityOperationSignaled", {"attributes": '{"by": "<b>eve</b>"}'}, ("Signal", "&lt;b&gt;eve&lt;/b&gt;")),
        ("EntityOperationSignaled", {"visible_at": rows.NOON.replace(year=2999)}, ("2999-03-01",)),
    ],
)
def test_what_waits_for_it_says_who_sent_it_and_when_its_turn_is(operator, event, columns, words):
    row = rows.entity("@counter@one", "1")
    InboxMessage.objects.create(hub=row.hub, instance=row.instance, type=event, **{"name": "add", **columns})

    page = operator.get(f"{LIST}counter/one/").text

    queue = page.partition('id="entity-queue"')[2].partition("</table>")[0]
    assert all(word in queue for word in words)


@pytest.mark.parametrize("key", ["one", ""])
def test_its_page_hears_of_operations_and_of_what_is_sent_to_it(operator, viewer, approver, key):
    row = rows.entity(f"@counter@{key}", "1")
    page = operator.get(f"{LIST}counter/{f'{key}/' if key else ''}").text
    tick, live, watched = (
        re.search(rf'id="entity"[^>]*{name}="([^"]+)"', page)[1] for name in ("data-tick", "hx-get", "data-watch")
    )
    assert operator.get(tick, {"v": watched}).status_code == 204

    InboxMessage.objects.create(hub=row.hub, instance=row.instance, type="EntityOperationSignaled", name="add")
    assert operator.get(tick, {"v": watched})["HX-Trigger"] == '{"dash:arrivals": {}}'
    InboxMessage.objects.all().delete()
    Entity.objects.update(state="42", last_operation_at=rows.NOON.replace(hour=13))
    assert operator.get(tick, {"v": watched})["HX-Trigger"] == '{"dash:entity": {}}'

    part = operator.get(live, headers={"HX-Request": "true"}).text
    assert ">42</pre>" in part and "<html" not in part
    assert "42" not in viewer.get(live).text
    assert [approver.get(address).status_code for address in (tick, live)] == [403, 403]


def test_its_state_is_for_who_may_see_payloads(viewer):
    rows.entity("@counter@one", '"secret"')

    page = viewer.get(f"{LIST}counter/one/").text

    assert "secret" not in page
    assert "orchestrations.view_payloads" in page


def test_a_key_may_be_empty(operator):
    rows.entity("@counter@", "1")

    assert operator.get(f"{LIST}counter/").status_code == 200
    assert f'href="{LIST}counter/"' in operator.get(LIST).text


@pytest.mark.parametrize("where", ["counter/two/", "nothing/one/", "coun@ter/one/"])
def test_what_there_is_none_of_is_not_found(operator, where):
    assert operator.get(f"{LIST}{where}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_signal_is_sent_and_carried_out(operator):
    url = "/hubs/default/signals/counter/one/"
    assert "Signal" in operator.get(url).text

    response = operator.post(url, {"operation": "add", "value": "41"})

    assert response["Location"] == f"{LIST}counter/one/"
    worker = InProcessWorker()
    worker.run_until_idle()
    worker.stop()
    assert Entity.objects.get().state == "41"
    assert AuditEntry.objects.get().via == "Dashboard"


def test_a_signal_waits_for_a_moment_of_the_readers_zone_which_the_form_names(operator, read_in):
    read_in(operator, "Asia/Kolkata")
    url = "/hubs/default/signals/counter/one/"
    assert "Not before (Kolkata)" in operator.get(url).text

    operator.post(url, {"operation": "add", "value": "41", "at": "2036-03-01T12:00"})

    assert InboxMessage.objects.get().visible_at.isoformat() == "2036-03-01T06:30:00+00:00"


@pytest.mark.parametrize(
    "name, given, told",
    [
        ("counter", {"operation": "", "value": "1"}, "required"),
        ("counter", {"operation": "add", "value": "{"}, "the value"),
        ("unknown", {"operation": "add"}, "No entity named"),
        ("counter", {"operation": "add", "at": "soon"}, "valid date"),
    ],
)
def test_a_signal_that_cannot_be_sent_is_told_in_the_form(operator, name, given, told):
    response = operator.post(f"/hubs/default/signals/{name}/one/", given)

    assert response.status_code == 422
    assert told in response.text
    assert not InboxMessage.objects.exists()


def test_an_instance_leads_to_its_entities_and_they_to_who_holds_them(operator):
    caller = rows.instance("one")
    called = {"name": "deposit", "attributes": {"instance_id": "@account@A-7"}}
    rows.history(caller, (EventType.ENTITY_CALLED, called))
    rows.entity("@account@A-7", "1", locked_by="one")

    related = operator.get("/hubs/default/i/one/related/").text
    index = operator.get("/hubs/default/entities/").text

    assert 'href="/hubs/default/entities/account/A-7/">@account@A-7</a>' in related
    assert 'href="/hubs/default/i/one/">one</a>' in index


def test_cleaning_up_asks_first_and_says_what_it_did(operator):
    rows.entity("@counter@gone", None)
    rows.entity("@counter@kept", "1")
    assert Entity.objects.count() == 2
    assert operator.get("/hubs/default/entities-clean/").status_code == 200
    assert Entity.objects.count() == 2

    assert operator.post("/hubs/default/entities-clean/").status_code == 422
    page = operator.post("/hubs/default/entities-clean/", {"reason": "spring"}, follow=True).text

    assert "Removed 1 empty entities" in page
    assert [row.key for row in Entity.objects.all()] == ["kept"]


def test_each_needs_its_right(viewer, approver):
    from django.contrib.auth.models import User

    rows.entity("@counter@one", "1")
    rows.entity("@lamp@one", "1")

    assert viewer.get("/hubs/default/signals/counter/one/").status_code == 403
    assert viewer.post("/hubs/default/entities-clean/").status_code == 403
    assert approver.get(LIST).status_code == approver.get(f"{LIST}counter/one/").status_code == 403
    Grant.objects.create(user=User.objects.get(username="approver"), actions=["view"], names="lamp")
    page = approver.get(LIST).text
    assert "@lamp@one" in page and "@counter@one" not in page
    assert approver.get(f"{LIST}counter/one/").status_code == 404
