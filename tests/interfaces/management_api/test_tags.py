"""Tags of one instance: set, changed and removed in one request."""

from __future__ import annotations

import json

import pytest

from orchestrations.access import api_keys
from orchestrations.access.api_keys import Verb
from orchestrations.limits import MEMBER_BYTES, TAGS
from orchestrations.models import AuditEntry, Instance
from tests import rows
from tests.interfaces.management_api.conftest import Caller


@pytest.fixture
def order(db) -> Instance:
    return rows.instance("order", status="Completed", tags={"region": "eu", "team": "red"})


def patch(caller: Caller, body: object, path: str = "instances/order/tags", **options):
    return caller.call("PATCH", path, data=body if isinstance(body, str) else json.dumps(body), **options)


def test_some_are_set_some_removed_and_the_others_stay(api, order):
    response = patch(api, {"team": None, "owner": "ada"}, "INSTANCES/order/TAGS/?reason=moved")

    assert (response.status_code, response.json()) == (200, {"region": "eu", "owner": "ada"})
    order.refresh_from_db()
    assert order.tags == response.json()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.via, entry.reason) == (
        "set_tags",
        "system key",
        "Management API",
        "moved",
    )
    assert entry.details == {"set": {"owner": "ada"}, "removed": ["team"], "before": {"team": "red"}}


def test_by_the_rpc_base_a_string_holds_the_json(api, order):
    wrapped = json.dumps(json.dumps({"owner": "ada"}))

    assert patch(api, wrapped, "/durabletask/instances/order/tags").json()["owner"] == "ada"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("", "$"),
        ({}, "$"),
        ([], "$"),
        ({"team": 1}, "$[...]"),
        ({"team": {"a": "b"}}, "$[...]"),
        ({"team": "x" * 257}, "$[...]"),
        ({"x" * 257: "y"}, "$"),
        ({"te\nam": "x"}, "$"),
        ({str(number): "x" for number in range(TAGS + 1)}, "$"),
        ({str(number): "x" for number in range(TAGS - 1)}, "$"),
        ("{", "$"),
    ],
)
def test_what_can_not_be_a_change_is_refused_and_nothing_is_written(api, order, body, path):
    response = patch(api, body)

    assert response.status_code == 400, response.content
    assert response.json()["Path"] == path
    order.refresh_from_db()
    assert order.tags == {"region": "eu", "team": "red"}
    assert not AuditEntry.objects.exists()


def test_a_body_is_bounded(api, order):
    assert patch(api, json.dumps({"a": "x" * MEMBER_BYTES})).status_code == 413


def test_it_takes_the_verb_and_the_name(order):
    def caller(name: str, *verbs: Verb, **options) -> Caller:
        return Caller(api_keys.issue(name, verbs, **options)[1])

    assert patch(caller("reader", Verb.STATUS, Verb.LIST), {"a": "b"}).status_code == 403
    assert patch(caller("bills", Verb.SET_TAGS, names="bill"), {"a": "b"}).status_code == 403
    assert patch(caller("tagger", Verb.SET_TAGS, names="ec*"), {"a": "b"}).status_code == 200
    assert AuditEntry.objects.get().actor_name == "API key tagger"


def test_no_management_link_sets_tags(api, stranger, order):
    links = api.post("orchestrators/echo/linked").json()

    for name, link in links.items():
        if name != "id":
            response = patch(stranger, {"a": "b"}, f"instances/linked/tags?{link.partition('?')[2]}")
            assert response.status_code == 403, name


def test_an_unknown_instance_and_another_method_are_404(api, order):
    assert patch(api, {"a": "b"}, "instances/nobody/tags").status_code == 404
    assert api.post("instances/order/tags", '{"a": "b"}').status_code == 404
