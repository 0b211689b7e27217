"""Grants: rights that end at names, on every interface, at one query for each request."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import IntegrityError, transaction
from django.test import Client
from rest_framework.test import APIClient

from orchestrations.access.api_keys import issue
from orchestrations.access.permissions import Action, Function, can, can_somewhere, names_open_to
from orchestrations.errors import InvalidPattern
from orchestrations.models import AuditEntry, Grant, InboxMessage
from orchestrations.patterns import check_pattern, matches
from orchestrations.reading.queries import InstanceFilter, list_instances
from tests import rows
from tests.functions import registered

pytestmark = pytest.mark.django_db

LIST = "/api/instances/"
VIEWING = ["view"]


def grant(user: User, *actions: str, names: str = "*", hub: str = "*") -> User:
    """The user, read anew, with one more grant."""
    Grant.objects.create(user=user, actions=list(actions), names=names, hub=hub)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def clerk(db) -> User:
    return User.objects.create_user("clerk")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "anything", True),
        ("billing_*", "billing_run", True),
        ("billing_*", "billing_", True),
        ("billing_*", "Billing_run", False),
        ("billing", "billing", True),
        ("billing", "billing_run", False),
        ("", "billing", False),
        ("*_run", "billing_run", True),
        ("*_run", "billing_run_2", False),
        ("bill*run", "bill_run", True),
        ("bill*run", "billrun", True),
        ("aba*aba", "aba", False),  # the same characters don't count twice
        ("aba*aba", "ababa", False),
        ("*a*b*", "xbxaxbx", True),
        ("*a*b*", "xbxax", False),
        ("*A*", "bar", False),
        ("100%*", "100% sure", True),
        ("100%*x", "100 xx", False),
        ("a_c*e", "abcde", False),
        ("a_*_e", "a_cd_e", True),
        ("*\\*d", "a\\cd", True),
        ("a?*e", "abcde", False),
        ("a[bc]*e", "abcde", False),
        ("a[bc]*e", "a[bc]de", True),
        ("*é*", "café au lait", True),
    ],
)
def test_a_pattern_says_the_same_of_a_name_and_in_the_database(pattern, name, expected):
    assert matches(pattern, name) is expected
    rows.instance("one", name=name)
    for visible in ((pattern,), ("other*x", pattern)):
        found = list_instances("default", InstanceFilter(visible=visible)).items
        assert bool(found) is expected


def test_many_stars_take_no_longer():
    assert not matches("*a" * 5, "a" * 4 + "b" * 250)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [("", "empty"), (" ", "empty"), ("a**b", "beside each other"), ("*a*b*c*d*e*", "at most 5"), ("a\n", "character")],
)
def test_a_pattern_that_cannot_be_meant_is_refused_with_the_reason(pattern, why):
    with pytest.raises(InvalidPattern, match=why):
        check_pattern(pattern)
    with pytest.raises(InvalidPattern):
        issue("key", names=pattern)


def test_a_grant_allows_its_acts_on_its_names_in_its_hub(clerk):
    clerk = grant(clerk, "terminate", names="billing_*", hub="default")

    assert can(clerk, Action.TERMINATE, rows.instance(name="billing_run"))
    assert not can(clerk, Action.PURGE, rows.instance(name="billing_run"))
    assert not can(clerk, Action.TERMINATE, rows.instance(name="payroll"))
    assert not can(clerk, Action.TERMINATE, Function("other", "billing_run"))
    assert not can(clerk, Action.TERMINATE), "not everything"
    assert can_somewhere(clerk, Action.TERMINATE)
    assert not can_somewhere(clerk, Action.TERMINATE, "other")
    assert names_open_to(clerk, Action.TERMINATE) == ("billing_*",)


def test_a_grant_without_bounds_is_as_good_as_the_permission(clerk):
    clerk = grant(clerk, "terminate")

    assert can(clerk, Action.TERMINATE)
    assert names_open_to(clerk, Action.TERMINATE) is None


def test_members_have_the_grants_of_their_groups(clerk):
    group = Group.objects.create(name="billing")
    Grant.objects.create(group=group, actions=["view"], names="billing_*")
    clerk.groups.add(group)

    assert can(User.objects.get(pk=clerk.pk), Action.VIEW, Function("default", "billing_run"))
    assert not can(User.objects.create_user("other"), Action.VIEW, Function("default", "billing_run"))


def test_nobody_who_is_inactive_or_unknown_has_any(clerk):
    clerk = grant(clerk, "view")
    clerk.is_active = False

    assert not can_somewhere(clerk, Action.VIEW)
    assert not can_somewhere(AnonymousUser(), Action.VIEW)


def test_all_rights_of_a_user_are_read_in_one_query(clerk, django_assert_num_queries):
    for name in ("a", "b", "c"):
        clerk = grant(clerk, "view", names=name)
    with django_assert_num_queries(1):  # with Django's permissions of the user and of the groups
        for name in "abcdef" * 10:
            can(clerk, Action.VIEW, Function("default", name))


def test_a_grant_is_for_a_user_or_a_group(clerk):
    for holder in ({}, {"user": clerk, "group": Group.objects.create(name="g")}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.create(actions=["view"], **holder)


# The interfaces ---------------------------------------------------------------------------------------------------


@pytest.fixture
def two(db):
    with registered():
        yield (
            rows.instance("bill", name="billing_run", input='"open"'),
            rows.instance("pay", name="payroll", input='"secret"'),
        )


def api_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_the_rest_api_shows_and_does_what_is_granted(two, clerk, django_assert_num_queries):
    api = api_of(grant(clerk, "view", "view_payloads", "suspend", names="billing_*"))

    assert [row["instance_id"] for row in api.get(LIST).json()["results"]] == ["bill"]
    counts = {row["status"]: row["count"] for row in api.get("/api/instance-counts/").json()}
    assert counts["Running"] == 1
    assert api.get(f"{LIST}bill/").json()["input"] == "open"
    assert api.get(f"{LIST}bill/").json()["actions"] == ["suspend"]
    assert api.post(f"{LIST}bill/suspend/").status_code == 202
    assert api.post(f"{LIST}bill/terminate/").status_code == 403
    for address in ("", "history/", "waits/"):
        assert api.get(f"{LIST}pay/{address}").json()["code"] == "instance_not_found"
    assert api.post(f"{LIST}pay/suspend/").status_code == 404
    assert api.get("/api/audit/").status_code == 403
    assert {message.instance_id for message in InboxMessage.objects.all()} == {two[0].pk}
    assert AuditEntry.objects.get().instance_id == "bill"


def test_a_list_costs_the_same_however_many_rows_it_narrows(two, clerk, django_assert_num_queries):
    grant(clerk, "view", names="billing_*")

    for _ in range(2):
        api = api_of(User.objects.get(pk=clerk.pk))
        with django_assert_num_queries(2):  # what the person holds, and the page
            api.get(LIST)
        for _ in range(10):
            rows.instance(name="billing_run")


def test_payloads_may_be_granted_for_some_names(two, clerk):
    clerk = grant(clerk, "view")
    clerk = grant(clerk, "view_payloads", names="billing_*")
    api = api_of(clerk)

    assert (api.get(f"{LIST}bill/").json()["input"], api.get(f"{LIST}bill/").json()["payloads"]) == ("open", "shown")
    assert (api.get(f"{LIST}pay/").json()["input"], api.get(f"{LIST}pay/").json()["payloads"]) == (None, "withheld")


def test_waits_and_entities_are_narrowed_too(clerk):
    rows.wait(rows.instance("bill", name="billing_run"), "paid")
    rows.wait(rows.instance("pay", name="payroll"), "paid")
    rows.entity("@billing_counter@a", "1")
    rows.entity("@salary@a", "2")
    api = api_of(grant(clerk, "view", names="billing_*"))

    assert [row["instance_id"] for row in api.get("/api/waits/").json()] == ["bill"]
    [counter] = api.get("/api/entities/").json()["results"]
    assert (counter["name"], counter["state"], counter["payloads"]) == ("billing_counter", None, "withheld")
    assert api.get("/api/entities/billing_counter/a/").status_code == 200
    assert api.get("/api/entities/salary/a/").status_code == 403


def test_a_start_may_be_granted_by_name(clerk):
    with registered():
        api = api_of(grant(clerk, "start", names="ec*"))

        assert api.post(LIST, {"orchestrator": "echo"}, format="json").status_code == 201
        assert api.post(LIST, {"orchestrator": "settle_expense"}, format="json").status_code == 403


def test_the_dashboard_shows_and_does_what_is_granted(two, clerk):
    grant(clerk, "view", "suspend", names="billing_*")
    browser = Client()
    browser.force_login(clerk)
    page = "/hubs/default/i/{}/"

    assert browser.get(page.format("bill")).status_code == 200
    assert browser.get(page.format("pay")).status_code == 403
    assert browser.get(page.format("pay") + "tick/").status_code == 403
    assert browser.get(page.format("bill") + "do/suspend/").status_code == 200
    assert browser.get(page.format("bill") + "do/terminate/").status_code == 403
    assert browser.post(page.format("pay") + "do/suspend/", {"reason": ""}).status_code == 403
    assert not InboxMessage.objects.exists()


def test_the_list_of_the_dashboard_shows_what_is_granted(two, clerk):
    grant(clerk, "view", names="billing_*")
    browser = Client()
    browser.force_login(clerk)
    bill, pay = two

    assert browser.get("/", follow=True).redirect_chain[-1][0] == "/hubs/default/instances/"
    for address in (
        "instances/",
        "instances/?q=status:running",
        f"instances/rows/?ids={bill.pk},{pay.pk}",
        "instances/suggest/?id=p",
        "instances/suggest/?id=b",
        "instances/names/",
    ):
        page = browser.get(f"/hubs/default/{address}")
        assert page.status_code == 200, address
        assert ">pay<" not in page.text and "payroll" not in page.text, address
        assert "?id=p" in address or "bill" in page.text, address
    assert browser.get("/hubs/default/go/?id=bill").headers["Location"].endswith("/i/bill/")
    assert "/i/pay/" not in browser.get("/hubs/default/go/?id=pay").headers["Location"]
    for board in ("", "workers/", "audit/"):
        assert browser.get(f"/hubs/default/{board}").status_code in (403, 404)


# The admin --------------------------------------------------------------------------------------------------------

GRANTS = "/admin/orchestrations/grant/"


def filled(holder: User, **fields: object) -> dict[str, object]:
    return {"user": holder.pk, "group": "", "actions": ["view"], "hub": "*", "names": "billing_*", **fields}


def test_an_administrator_grants_in_the_admin(admin_client, clerk):
    assert admin_client.post(f"{GRANTS}add/", filled(clerk)).status_code == 302
    assert admin_client.get(GRANTS).status_code == 200
    assert can(User.objects.get(pk=clerk.pk), Action.VIEW, Function("default", "billing_run"))


def test_grants_that_are_made_changed_and_deleted_are_in_the_audit_trail(admin_client, clerk):
    admin_client.post(f"{GRANTS}add/", filled(clerk))
    grant = Grant.objects.get()
    admin_client.post(f"{GRANTS}{grant.pk}/change/", filled(clerk, actions=["view", "start"]))
    admin_client.post(f"{GRANTS}{grant.pk}/delete/", {"post": "yes"})
    Grant.objects.create(user=clerk, actions=["view"])
    chosen = {"action": "delete_selected", "_selected_action": [Grant.objects.get().pk], "post": "yes"}
    admin_client.post(GRANTS, chosen)

    made, changed, *deleted = AuditEntry.objects.order_by("pk")
    told = {"to": clerk.username, "acts": ["view"], "names": "billing_*", "hub": "*"}
    assert (made.action, made.actor_name, made.via, made.details) == ("granted", "admin", "Admin", told)
    assert (changed.action, changed.details["acts"], changed.details["former"]) == (
        "changed_grant",
        ["view", "start"],
        told,
    )
    assert [row.action for row in deleted] == ["deleted_grant"] * 2


@pytest.mark.parametrize(
    "fields", [{"actions": []}, {"actions": ["everything"]}, {"names": "a**b"}, {"names": ""}, {"user": ""}]
)
def test_a_grant_that_makes_no_sense_is_not_made(admin_client, clerk, fields):
    assert admin_client.post(f"{GRANTS}add/", filled(clerk, **fields)).status_code == 200
    assert not Grant.objects.exists()


@pytest.mark.django_db
def test_nobody_grants_more_than_they_may_do():
    from tests.interfaces.dashboard.test_admin import staff

    browser = staff("add_grant", "view_instance")

    assert (
        browser.post(f"{GRANTS}add/", filled(User.objects.create_user("other"), actions=["terminate"])).status_code
        == 200
    )
    assert not Grant.objects.exists()
