"""Django's admin: to look at, to act through the client, and no way to run code."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client

from orchestrations.core.events import EventType
from orchestrations.models import ApiKey, AuditEntry, Grant, InboxMessage, IncomingWebhook, Instance, OutgoingWebhook
from tests import rows

LIST = "/admin/orchestrations/instance/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=permissions, content_type__app_label="orchestrations")
    )
    browser = Client()
    browser.force_login(user)
    return browser


def chosen(action: str, instance: Instance, **more: str) -> dict[str, object]:
    return {"action": action, "_selected_action": [instance.pk], "confirmed": "1", **more}


def test_the_queue_is_not_in_the_admin():
    assert not [model for model in admin.site._registry if model._meta.app_label == "django_q"]


def test_not_even_a_superuser_finds_the_queue(admin_client):
    for name in ("schedule", "ormq", "task", "success", "failure"):
        assert admin_client.get(f"/admin/django_q/{name}/").status_code == 404
        assert admin_client.get(f"/admin/django_q/{name}/add/").status_code == 404


MODELS = [model for model in admin.site._registry if model._meta.app_label == "orchestrations"]

MADE_BY_HAND = {ApiKey, Grant, IncomingWebhook, OutgoingWebhook}
LEFT_BY_THE_ENGINE = [model for model in MODELS if model not in MADE_BY_HAND]


@pytest.mark.parametrize("model", LEFT_BY_THE_ENGINE, ids=lambda model: model.__name__)
def test_no_row_is_made_changed_or_deleted_by_hand(admin_client, model):
    instance = rows.instance("one")
    rows.history(instance, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge"}))
    rows.wait(instance)
    rows.thread(rows.task(instance, "anyone"), User.objects.get())
    name = model._meta.model_name

    assert admin_client.get(f"/admin/orchestrations/{name}/").status_code == 200
    assert admin_client.get(f"/admin/orchestrations/{name}/", {"q": "one"}).status_code == 200
    assert admin_client.get(f"/admin/orchestrations/{name}/add/").status_code == 403
    for row in model.objects.all():
        assert admin_client.get(f"/admin/orchestrations/{name}/{row.pk}/change/").status_code == 200
        assert admin_client.post(f"/admin/orchestrations/{name}/{row.pk}/change/", {}).status_code == 403
        assert admin_client.post(f"/admin/orchestrations/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_all_models_are_registered():
    from django.apps import apps

    assert set(MODELS) == set(apps.get_app_config("orchestrations").get_models())


@pytest.mark.parametrize(
    "action, permission, status",
    [
        ("terminate", "terminate_instance", "Running"),
        ("suspend", "suspend_instance", "Running"),
        ("resume", "suspend_instance", "Suspended"),
        ("rewind", "rewind_instance", "Failed"),
    ],
)
def test_an_action_needs_its_right_and_leaves_its_trail(db, action, permission, status):
    instance = rows.instance("one", status=status)
    form = chosen(action, instance, reason="because")
    viewer = staff("view_instance")
    viewer.post(LIST, form)
    assert not InboxMessage.objects.exists()

    User.objects.all().delete()
    staff("view_instance", permission).post(LIST, form)

    assert InboxMessage.objects.count() == 1
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.via, entry.reason) == (action, "Admin", "because")


@pytest.mark.parametrize("action, status", [("terminate", "Running"), ("rewind", "Failed")])
def test_a_grave_action_needs_a_reason(admin_client, action, status):
    instance = rows.instance("one", status=status)

    response = admin_client.post(LIST, chosen(action, instance), follow=True)

    assert "Say why" in response.text
    assert not InboxMessage.objects.exists()


def test_what_the_status_forbids_is_told_and_the_rest_is_done(admin_client):
    live, ended = rows.instance("live"), rows.instance("ended", status="Completed")
    form = {"action": "suspend", "_selected_action": [live.pk, ended.pk], "confirmed": "1"}

    text = admin_client.post(LIST, form, follow=True).text

    assert "Sent to 1 instance." in text
    assert "&#x27;ended&#x27; is Completed" in text


def test_payloads_need_their_permission(db):
    instance = rows.instance("one", input='"canary"', waits='[{"name": "canary"}]')

    page = staff("view_instance").get(f"{LIST}{instance.pk}/change/").text
    User.objects.all().delete()
    shown = staff("view_instance", "view_payloads").get(f"{LIST}{instance.pk}/change/").text

    assert "canary" not in page
    assert "canary" in shown


def test_the_list_reads_no_payloads_and_counts_to_a_cap(admin_client, django_assert_max_num_queries):
    for _ in range(30):
        rows.instance(input='"canary"')

    with django_assert_max_num_queries(12) as queries:
        admin_client.get(LIST)

    statements = [query["sql"] for query in queries.captured_queries]
    assert not [sql for sql in statements if '"durable_instance"."input"' in sql]
    assert not [sql for sql in statements if "COUNT(" in sql and "LIMIT" not in sql and "durable_instance" in sql]


def test_a_row_links_to_the_dashboard(admin_client):
    instance = rows.instance("one")

    assert 'href="/hubs/default/i/one/"' in admin_client.get(f"{LIST}{instance.pk}/change/").text


def test_entities_are_listed_apart_from_orchestrations(admin_client):
    rows.entity("@counter@a", '{"secret": 1}')

    assert "@counter@a" not in admin_client.get(LIST).content.decode()
    assert "@counter@a" in admin_client.get("/admin/orchestrations/entity/").content.decode()


def test_the_state_of_an_entity_is_a_payload(db):
    pk = rows.entity("@counter@a", '{"secret": 1}').pk

    assert "secret" not in staff("view_entity").get(f"/admin/orchestrations/entity/{pk}/change/").content.decode()
