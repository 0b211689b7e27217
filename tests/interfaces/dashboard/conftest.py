"""People with the rights of their role, signed in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client

from orchestrations.interfaces.dashboard.reader import reader_of
from orchestrations.models import Preferences

ROLES = {
    "viewer": ("view_instance",),
    "operator": (
        "view_instance",
        "view_payloads",
        "start_instance",
        "raise_event",
        "terminate_instance",
        "suspend_instance",
        "rewind_instance",
        "purge_instance",
        "tag_instance",
        "hasten_task",
        "complete_task",
        "signal_entity",
        "clean_entities",
    ),
    "starter": ("view_instance", "start_instance"),
    "approver": (),
}
SignIn = Callable[[str], Client]


def person(role: str) -> User:
    """A user whose rights come from a group, as they do on a real site."""
    user = User.objects.create_user(role, password="open-sesame")
    group = Group.objects.create(name=f"{role}s")
    group.permissions.set(Permission.objects.filter(codename__in=ROLES[role], content_type__app_label="orchestrations"))
    user.groups.add(group)
    return user


@pytest.fixture
def sign_in(db) -> SignIn:
    """``sign_in("viewer")`` is a browser of somebody with that role; ``"anonymous"`` is one of nobody."""

    def sign_in(role: str) -> Client:
        browser = Client()
        if role != "anonymous":
            request = HttpRequest()
            request.user = User.objects.filter(username=role).first() or person(role)
            browser.force_login(request.user)
            request.session = browser.session
            reader_of(request)  # which is remembered from then on, and costs later pages nothing
        return browser

    return sign_in


@pytest.fixture
def read_in() -> Callable[[Client, str], None]:
    """``read_in(viewer, "Asia/Kolkata")`` makes that the zone of whoever is signed in."""

    def read_in(browser: Client, zone: str) -> None:
        user = browser.session["_auth_user_id"]
        Preferences.objects.update_or_create(user_id=user, defaults={"time_zone": zone})
        cache.clear()  # where readers are remembered

    return read_in


@pytest.fixture
def viewer(sign_in) -> Client:
    return sign_in("viewer")


@pytest.fixture
def operator(sign_in) -> Client:
    return sign_in("operator")


@pytest.fixture
def approver(sign_in) -> Client:
    return sign_in("approver")
