"""Tags of instances that are there already."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from orchestrations import InstanceNotFound, OrchestrationClient, PayloadRejected
from orchestrations.models import AuditEntry, Instance
from tests import rows


@pytest.mark.parametrize("status", ["Pending", "Running", "Completed", "Failed"])
def test_tags_change_in_every_status(client, status):
    rows.instance("order", status=status, tags={"team": "a", "old": "x"})

    assert client.set_tags("order", {"owner": "ada"}, remove=["old"]) == {"team": "a", "owner": "ada"}
    assert Instance.objects.get().tags == {"team": "a", "owner": "ada"}


def test_a_change_leaves_its_audit_row(db):
    rows.instance("order", tags={"old": "x"})

    OrchestrationClient(actor=User.objects.create_user("ada")).set_tags(
        "order", {"owner": "ada"}, remove=["old"], reason="handed over"
    )

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.instance_id, entry.reason) == ("set_tags", "order", "handed over")
    assert entry.details == {"set": {"owner": "ada"}, "removed": ["old"], "before": {"old": "x"}}


@pytest.mark.parametrize(
    "tags, remove, told",
    [
        ({}, (), "No tag is named"),
        ({"a": 1}, (), "not text"),
        ({"a": "b"}, ("a",), "both set and removed"),
        ({"a": "x" * 257}, (), "257 characters"),
        ({"a\n": "b"}, (), "U\\+000A"),
        ({}, ("a\x00",), "U\\+0000"),
        ({"one-too-many": ""}, (), "more than 50"),
    ],
)
def test_tags_that_cannot_be_kept_change_nothing(client, tags, remove, told):
    full = {f"tag-{number}": "" for number in range(50)}
    rows.instance("order", tags=full)

    with pytest.raises(PayloadRejected, match=told):
        client.set_tags("order", tags, remove=remove)
    assert Instance.objects.get().tags == full
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("instance_id", ["nobody", "@counter@one", "a\x00"])
def test_what_is_no_orchestration_has_no_tags(client, instance_id):
    with pytest.raises(InstanceNotFound):
        client.set_tags(instance_id, {"a": "b"})
