"""API keys in Django's admin: who makes which, that a key is told once, and how it ends."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrations.access import api_keys
from orchestrations.access.api_keys import ACTIONS, Verb
from orchestrations.models import ApiKey, AuditEntry
from tests.interfaces.dashboard.test_admin import staff

KEYS = "/admin/orchestrations/apikey/"


def filled(**fields: object) -> dict[str, object]:
    return {
        "name": "robot",
        "hub": "",
        "names": "*",
        "verbs": ["start"],
        "expires_at_0": "",
        "expires_at_1": "",
        **fields,
    }


def test_a_new_key_is_told_once_and_opens_what_was_chosen(admin_client):
    response = admin_client.post(f"{KEYS}add/", filled(verbs=["start", "status"], hub="default"))

    text = re.search(r'id="issued-key">([^<]+)<', response.text)[1]
    row = ApiKey.objects.get()
    assert response.headers["Cache-Control"].startswith("max-age=0")
    assert api_keys.find(text) == row
    assert (row.name, row.hub, row.verbs, row.created_by) == (
        "robot",
        "default",
        ["start", "status"],
        User.objects.get(),
    )
    assert text.startswith(row.prefix)
    assert len(row.prefix) < 16
    for path in (KEYS, f"{KEYS}{row.pk}/change/", f"{KEYS}{row.pk}/history/"):
        page = admin_client.get(path).text
        assert text not in page
        assert row.digest not in page


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"verbs": []},
        {"verbs": ["everything"]},
        {"hub": "x" * 46},
        {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"},
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(admin_client, fields):
    assert admin_client.post(f"{KEYS}add/", filled(**fields)).status_code == 200
    assert not ApiKey.objects.exists()


def test_a_name_is_given_once(admin_client):
    api_keys.issue("robot")

    assert "already exists" in admin_client.post(f"{KEYS}add/", filled()).text
    assert ApiKey.objects.count() == 1


def test_nobody_gives_away_more_than_he_may_do_himself(db):
    clerk = staff("add_apikey", "view_apikey", "start_instance")

    assert clerk.post(f"{KEYS}add/", filled(verbs=["start", "terminate"])).status_code == 200
    assert not ApiKey.objects.exists()
    clerk.post(f"{KEYS}add/", filled(verbs=["start"]))
    assert ApiKey.objects.get().verbs == ["start"]


def test_whoever_narrows_a_key_may_leave_it_what_it_has_but_adds_nothing(db):
    row, _ = api_keys.issue("robot", [Verb.TERMINATE])
    clerk = staff("change_apikey", "view_apikey", "start_instance")

    clerk.post(f"{KEYS}{row.pk}/change/", filled(verbs=["terminate", "start"]))
    row.refresh_from_db()
    assert row.verbs == ["terminate", "start"]
    clerk.post(f"{KEYS}{row.pk}/change/", filled(verbs=["terminate", "purge"]))
    row.refresh_from_db()
    assert row.verbs == ["terminate", "start"]


@pytest.mark.parametrize("permissions", [(), ("view_apikey",), ("change_apikey",)])
def test_making_a_key_needs_its_permission(db, permissions):
    assert staff(*permissions).post(f"{KEYS}add/", filled()).status_code == 403
    assert not ApiKey.objects.exists()


def test_a_key_is_revoked_and_stays(admin_client):
    row, text = api_keys.issue("robot")

    form = {"action": "revoke", "_selected_action": [row.pk]}
    asked = admin_client.post(KEYS, form)
    refused = admin_client.post(KEYS, {**form, "confirmed": "1"})
    assert api_keys.find(text) == row
    admin_client.post(KEYS, {**form, "confirmed": "1", "reason": "it leaked"})

    assert "refused from now on" in asked.text
    assert refused.status_code == 422
    assert api_keys.find(text) is None
    told = AuditEntry.objects.get()
    assert (told.action, told.reason, told.details["key"]) == ("revoked_key", "it leaked", "robot")
    row.refresh_from_db()
    assert timezone.now() - row.revoked_at < timedelta(minutes=1)
    assert LogEntry.objects.get().change_message == "Revoked."
    assert admin_client.post(f"{KEYS}{row.pk}/change/", filled()).status_code == 403
    assert admin_client.post(f"{KEYS}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_revoking_needs_the_permission_to_change(db):
    row, text = api_keys.issue("robot")

    form = {"action": "revoke", "_selected_action": [row.pk], "confirmed": "1", "reason": "because"}
    staff("view_apikey").post(KEYS, form)

    assert api_keys.find(text) == row


def test_every_verb_says_what_its_giver_must_hold():
    assert set(ACTIONS) == set(Verb)
