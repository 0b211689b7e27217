"""The audit trail: a row for each act of somebody, if and only if the act holds."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction

from orchestrations import InstanceEnded, OrchestrationClient
from orchestrations.models import AuditEntry
from tests import rows
from tests.functions import echo


@pytest.fixture
def dana(db) -> User:
    return User.objects.create_user("dana")


@pytest.fixture
def danas(dana) -> OrchestrationClient:
    return OrchestrationClient(actor=dana, via=AuditEntry.Via.DASHBOARD, address="10.1.2.3")


ACTS = {
    "start": ("Running", lambda client: client.start_new(echo, "new")),
    "raise_event": ("Running", lambda client: client.raise_event("order", "paid")),
    "terminate": ("Running", lambda client: client.terminate("order", "because")),
    "suspend": ("Running", lambda client: client.suspend("order", "because")),
    "resume": ("Suspended", lambda client: client.resume("order", "because")),
    "rewind": ("Failed", lambda client: client.rewind("order", "because")),
    "restart": ("Failed", lambda client: client.restart("order")),
    "purge": ("Failed", lambda client: client.purge_instance_history("order")),
}


@pytest.mark.parametrize("action", list(ACTS))
def test_every_act_of_a_person_leaves_a_row(danas, dana, action):
    status, act = ACTS[action]
    rows.instance("order", status=status)

    act(danas)

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.actor_name) == (action, dana, "dana")
    assert (entry.via, entry.address) == ("Dashboard", "10.1.2.3")
    assert entry.reason == ("because" if action in ("terminate", "suspend", "resume", "rewind") else "")


@pytest.mark.parametrize("action", list(ACTS))
def test_a_program_leaves_none(client, action):
    status, act = ACTS[action]
    rows.instance("order", status=status)

    act(client)

    assert not AuditEntry.objects.exists()


def test_rows_tell_what_the_act_was_about(danas):
    rows.instance("order", status="Completed")
    started = danas.restart("order")
    danas.raise_event(started, "paid")

    assert list(AuditEntry.objects.order_by("id").values_list("instance_id", "details")) == [
        (started, {"orchestrator": "echo", "restarted": "order"}),
        (started, {"event": "paid"}),
    ]


def test_many_starts_leave_a_row_each(danas):
    ids = danas.start_many(echo, [1, 2, 3])

    assert list(AuditEntry.objects.order_by("id").values_list("instance_id", flat=True)) == ids


def test_a_purge_by_window_names_every_instance(danas):
    for number in range(3):
        rows.instance(f"order-{number}", status="Completed")
    rows.instance("live")

    danas.purge_instance_history_by(rows.NOON)

    assert set(AuditEntry.objects.values_list("instance_id", flat=True)) == {"order-0", "order-1", "order-2"}


def test_a_start_that_starts_nothing_leaves_none(danas):
    rows.instance("order")

    danas.start_new(echo, "order", on_duplicate="return-existing")

    assert not AuditEntry.objects.exists()


def test_a_refused_act_leaves_none(danas):
    rows.instance("order", status="Completed")

    with pytest.raises(InstanceEnded):
        danas.terminate("order")

    assert not AuditEntry.objects.exists()


def test_an_act_that_is_rolled_back_leaves_none(danas):
    rows.instance("order")

    with transaction.atomic():
        danas.terminate("order")
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    "actor, name", [("system key", "system key"), (AnonymousUser(), "anonymous"), ("x" * 200, "x" * 150)]
)
def test_who_has_no_account_acts_under_a_name(db, actor, name):
    OrchestrationClient(actor=actor).start_new(echo)

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.actor_name, entry.via) == (None, name, "API")


@pytest.mark.parametrize("address", [None, "", "unix:", "evil\nheader", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_left_out(db, address):
    OrchestrationClient(actor="program", address=address).start_new(echo)

    assert AuditEntry.objects.get().address is None


def test_the_zone_of_an_address_is_left_out(db):
    OrchestrationClient(actor="program", address="fe80::1%eth0").start_new(echo)

    assert AuditEntry.objects.get().address == "fe80::1"


def test_the_row_outlives_the_user(danas, dana):
    danas.start_new(echo)

    dana.delete()

    assert AuditEntry.objects.get().actor_name == "dana"
