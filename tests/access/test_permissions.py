"""Who may do what: roles by actions, questions by groups, and what is legal in which status."""

from __future__ import annotations

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from orchestrations.access import permissions
from orchestrations.access.backend import HoldingsBackend
from orchestrations.access.permissions import Action, can, can_answer, can_raise_event
from orchestrations.core.status import RuntimeStatus
from orchestrations.errors import PermissionRefused
from orchestrations.models import Instance
from tests import rows

pytestmark = pytest.mark.django_db


def person(name: str, *codenames: str, groups: tuple[str, ...] = (), **flags: bool) -> User:
    user = User.objects.create_user(name, **flags)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    return User.objects.get(pk=user.pk)


ALL = {permission.rpartition(".")[2] for permission in permissions.PERMISSIONS.values()}
ROLES = {
    "nobody": set(),
    "viewer": {"view_instance"},
    "approver": {"view_instance", "raise_event"},
    "operator": ALL - {"purge_instance", "view_payloads"},
    "owner": ALL,
}


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("role", list(ROLES))
def test_each_action_needs_its_permission(role, action):
    user = person(role, *ROLES[role])

    assert can(user, action) is (permissions.PERMISSIONS[action] in ROLES[role])


def test_every_permission_exists():
    known = {name for name, _ in Instance._meta.permissions} | {"view_instance", "view_auditentry", "publish_savedview"}

    assert known == ALL


@pytest.mark.parametrize("action", list(Action))
def test_superusers_may_do_everything_and_others_nothing(action):
    assert can(person("root", is_superuser=True), action)
    assert not can(person("gone", *ALL, is_active=False), action)
    assert not can(AnonymousUser(), action)


def test_a_refusal_names_the_missing_permission():
    with pytest.raises(PermissionRefused, match=r"orchestrations\.purge_instance"):
        permissions.require(person("dana"), Action.PURGE)
    with pytest.raises(PermissionRefused, match="anonymous"):
        permissions.require(AnonymousUser(), Action.VIEW)
    permissions.require(person("erin", "purge_instance"), Action.PURGE)


def test_an_object_level_backend_is_asked(settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.access.test_permissions.OwnInstances"]
    user = person("dana")

    assert can(user, Action.TERMINATE, rows.instance("dana-1"))
    assert not can(user, Action.TERMINATE, rows.instance("erin-1"))
    assert not can(user, Action.TERMINATE)


@pytest.mark.parametrize("codenames", [{"view_instance"}, ALL, set()])
def test_permissions_are_those_that_djangos_own_backend_knows(codenames):
    user = person("dana", *codenames, groups=("buyers",))
    Group.objects.get(name="buyers").permissions.add(Permission.objects.get(codename="raise_event"))

    for someone in (user, person("root", is_superuser=True), person("gone", *ALL, is_active=False), AnonymousUser()):
        assert HoldingsBackend().get_all_permissions(someone) == ModelBackend().get_all_permissions(fresh(someone))
        assert HoldingsBackend().get_all_permissions(someone, rows.instance()) == set()


def fresh(user: User | AnonymousUser) -> User | AnonymousUser:
    return User.objects.get(pk=user.pk) if user.pk else user


class OwnInstances:
    """Everybody may do anything to the instances whose ids begin with their name."""

    def has_perm(self, user: User, permission: str, instance: Instance | None = None) -> bool:
        return instance is not None and instance.instance_id.startswith(user.username)


# Questions


@pytest.mark.parametrize(
    ("request_", "who"),
    [
        (None, {"operator"}),
        ({}, {"operator"}),
        ({"groups": []}, {"operator"}),
        ({"groups": ["buyers"]}, {"buyer"}),
        ({"groups": ["sellers", "buyers"]}, {"buyer"}),
        ({"permission": "orchestrations.purge_instance"}, {"cleaner"}),
        ({"groups": ["buyers"], "permission": "orchestrations.purge_instance"}, {"buyer", "cleaner"}),
        ({"groups": ["nobody"]}, set()),
        (["odd"], set()),
    ],
)
def test_a_question_is_answered_by_who_is_asked(request_, who):
    wait = rows.wait(rows.instance(), title="May I?", request=request_)
    people = {
        "buyer": person("buyer", groups=("buyers",)),
        "cleaner": person("cleaner", "purge_instance"),
        "operator": person("operator", "raise_event"),
        "gone": person("gone", "purge_instance", "raise_event", groups=("buyers",), is_active=False),
        "anonymous": AnonymousUser(),
    }

    assert {name for name, user in people.items() if can_answer(user, wait)} == who
    assert can_answer(person("root", is_superuser=True), wait)


def test_an_unreadable_question_is_for_superusers():
    wait = rows.wait(rows.instance(), title="May I?")
    wait.request = "{"

    assert not can_answer(person("operator", *ALL), wait)
    assert can_answer(person("root", is_superuser=True), wait)


def test_who_is_not_asked_is_refused():
    wait = rows.wait(rows.instance(), title="May I?", request={"groups": ["buyers"]})

    with pytest.raises(PermissionRefused):
        permissions.require_answer(person("operator", "raise_event"), wait)
    permissions.require_answer(person("buyer", groups=("buyers",)), wait)


def test_the_raw_event_is_no_way_around_the_question():
    instance = rows.instance()
    rows.wait(instance, "Decision", title="May I?", request={"groups": ["buyers"]})
    operator, buyer = person("operator", "raise_event"), person("buyer", groups=("buyers",))

    assert not can_raise_event(operator, instance, "decision")
    assert can_raise_event(operator, instance, "payment")
    assert can_raise_event(buyer, instance, "DECISION")
    assert not can_raise_event(buyer, instance, "payment")
    with pytest.raises(PermissionRefused):
        permissions.require_raise_event(operator, instance, "decision")


# Statuses


def test_what_is_legal_in_which_status():
    always = {Action.RESTART, Action.FORK, Action.SET_TAGS}
    live = always | {Action.RAISE_EVENT, Action.ANSWER, Action.TERMINATE}
    ended = always | {Action.PURGE}
    tasks = {Action.RETRY_NOW, Action.SKIP_TIMER, Action.COMPLETE_TASK}
    assert {status: set(permissions.legal_actions(status)) for status in RuntimeStatus} == {
        RuntimeStatus.PENDING: live | {Action.SUSPEND},
        RuntimeStatus.RUNNING: live | tasks | {Action.SUSPEND},
        RuntimeStatus.CONTINUED_AS_NEW: live | {Action.SUSPEND},
        RuntimeStatus.SUSPENDED: live | tasks | {Action.RESUME},
        RuntimeStatus.COMPLETED: ended,
        RuntimeStatus.FAILED: ended | {Action.REWIND},
        RuntimeStatus.TERMINATED: ended,
        RuntimeStatus.CANCELED: ended,
    }


def test_a_page_offers_what_is_both_legal_and_allowed():
    user = person("dana", "terminate_instance", "rewind_instance")

    assert permissions.available_actions(user, rows.instance(status="Failed")) == {Action.REWIND}
    assert permissions.available_actions(user, rows.instance(status="Running")) == {Action.TERMINATE}


@pytest.mark.parametrize(
    "request_, name, flags, may",
    [
        ({"users": ["dana"]}, "dana", {}, True),
        ({"users": ["dana"]}, "max", {}, False),
        ({"users": ["dana"]}, "root", {"is_superuser": True}, True),
        ({"users": ["dana"], "exclude": ["dana"]}, "dana", {}, False),
        ({"exclude": ["root"]}, "root", {"is_superuser": True}, False),
        ({"exclude": ["ann"]}, "root", {"is_superuser": True}, True),
    ],
)
def test_a_question_may_name_people_and_leave_some_out_whoever_they_are(request_, name, flags, may):
    instance = rows.instance()
    wait = rows.wait(instance, "decision", title="Pay?", request=request_)
    user = person(name, "raise_event", **flags)

    assert can_answer(user, wait) is may
    assert can_raise_event(user, instance, "decision") is may, "a bare event is no way around it"
