"""Saved views of the instances list: whose they are, and what they count."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrations.models import SavedView
from tests import rows

LIST = "/hubs/default/instances/"
VIEWS = "/hubs/default/views/"
NEW = f"{VIEWS}new/"
PINNED = f"{VIEWS}nav/"


def member(name: str, *groups: str) -> Client:
    user = User.objects.create_user(name)
    user.user_permissions.add(Permission.objects.get(codename="view_instance"))
    user.groups.set(Group.objects.get_or_create(name=group)[0] for group in groups)
    browser = Client()
    browser.force_login(user)
    return browser


def view(**fields: object) -> dict[str, object]:
    return {"name": "Broken", "query": "status:failed", "audience": "mine", "is_pinned": "on", **fields}


def shared_with(group: str) -> str:
    return f"group:{Group.objects.get(name=group).pk}"


def test_it_is_saved_from_the_list_and_stands_in_the_navigation(viewer):
    rows.instance("one", status="Failed")
    form = viewer.get(NEW, {"q": "status:failed created:-24h"}).text
    assert "status:failed created:-1d</textarea>" in form or "status:failed created:-24h</textarea>" in form

    saved = viewer.post(NEW, view(query="status:FAILED"), follow=True)

    assert saved.redirect_chain == [(f"{LIST}?q=status%3Afailed", 302)]
    assert "The view Broken is saved." in saved.text
    assert "<span>Broken</span>" in viewer.get("/hubs/default/").text
    assert "<span>Broken</span> <span>1</span>" in viewer.get(PINNED).text


def test_a_query_that_cannot_be_read_is_refused_with_its_place(viewer):
    refused = viewer.post(NEW, view(query="status:sleepy"))

    assert refused.status_code == 422
    assert "At position 8" in refused.text
    assert not SavedView.objects.exists()


def test_a_view_shared_with_a_group_is_seen_by_its_members_alone(db):
    dana, erin, fred = member("dana", "ops"), member("erin", "ops"), member("fred", "sales")

    dana.post(NEW, view(audience=shared_with("ops")))

    assert "Broken" in dana.get(VIEWS).text
    assert "Broken" in erin.get(VIEWS).text
    assert "<span>Broken</span>" in erin.get(LIST).text
    assert "Broken" not in fred.get(VIEWS).text
    assert "<span>Broken</span>" not in fred.get(LIST).text


def test_only_the_owner_changes_or_deletes_it(db):
    dana, erin, fred = member("dana", "ops"), member("erin", "ops"), member("fred", "sales")
    dana.post(NEW, view(audience=shared_with("ops")))
    mine = f"{VIEWS}{SavedView.objects.get().pk}/"

    for other in (erin, fred):
        assert other.post(mine, view(name="Mine now")).status_code == 404
        assert other.post(f"{mine}delete/").status_code == 404
    dana.post(mine, view(name="Failed ones", query="status:failed,terminated"))
    assert SavedView.objects.get().name == "Failed ones"
    assert SavedView.objects.get().group is None
    assert "Only you see it." in dana.get(f"{mine}delete/").text
    dana.post(f"{mine}delete/")

    assert not SavedView.objects.exists()


def test_nobody_shares_with_a_group_that_is_not_theirs(db):
    Group.objects.create(name="board")

    refused = member("dana", "ops").post(NEW, view(audience=shared_with("board")))

    assert refused.status_code == 422
    assert not SavedView.objects.exists()


def test_a_view_for_everybody_needs_the_right_to_publish(db):
    dana, fred = member("dana"), member("fred")
    assert dana.post(NEW, view(audience="everybody")).status_code == 422
    User.objects.get(username="dana").user_permissions.add(Permission.objects.get(codename="publish_savedview"))

    dana.post(NEW, view(audience="everybody"))

    assert "Broken" in fred.get(VIEWS).text


def test_two_views_of_one_name_are_refused(viewer):
    viewer.post(NEW, view())

    assert "You have a view of that name." in viewer.post(NEW, view()).text


def test_all_views_are_counted_with_one_statement(viewer):
    rows.instance("one", status="Failed")
    for number in range(5):
        viewer.post(NEW, view(name=f"view {number}", query=f"status:failed name:e* id:{'o' * (number + 1)}*"))
    viewer.get(VIEWS)

    with CaptureQueriesContext(connection) as asked:
        viewer.get(PINNED)
        viewer.get(PINNED)

    counting = [query for query in asked.captured_queries if "COUNT(*)" in query["sql"]]
    assert len(counting) <= 1


@pytest.mark.parametrize("path", [VIEWS, NEW, PINNED])
def test_who_may_not_look_at_instances_has_no_views(approver, path):
    assert approver.get(path).status_code == 403
