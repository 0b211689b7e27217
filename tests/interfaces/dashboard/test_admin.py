"""Django's admin: to look at, to act through the client, and no way to run code."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from rest_framework.authtoken.models import Token

from orchestrations.bulk.selections import Selection
from orchestrations.core.events import EventType
from orchestrations.models import (
    ApiKey,
    AuditEntry,
    BulkJob,
    Chore,
    Grant,
    HistoryEvent,
    InboxMessage,
    IncomingWebhook,
    Instance,
    OutgoingWebhook,
    WorkerLease,
)
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


def test_no_page_of_the_admin_tells_tokens(admin_client, admin_user):
    token = Token.objects.create(user=admin_user)

    assert admin_client.get("/admin/authtoken/").status_code == 404
    assert admin_client.get("/admin/authtoken/tokenproxy/").status_code == 404
    assert token.key not in admin_client.get(f"/admin/auth/user/{admin_user.pk}/delete/").text
    assert 'rel="icon"' in admin_client.get("/admin/").text


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
    form = chosen(action, instance, reason="because", confirm=action)
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


# Acting --------------------------------------------------------------------------------------------------------------


def test_before_an_act_the_page_says_what_will_happen_and_to_which(admin_client):
    instance = rows.instance("one")

    page = admin_client.post(LIST, {"action": "terminate", "_selected_action": [instance.pk]})

    assert page.status_code == 200
    assert "ends for good as Terminated" in page.text
    assert "<code>one</code>" in page.text
    assert 'name="csrfmiddlewaretoken"' in page.text
    assert not InboxMessage.objects.exists()


def test_an_instance_is_purged_with_its_reason(admin_client):
    instance = rows.instance("one", status="Completed")

    admin_client.post(LIST, chosen("purge", instance, reason="no longer needed", confirm="purge"))

    assert not Instance.objects.exists()
    assert (AuditEntry.objects.get().action, AuditEntry.objects.get().reason) == ("purge", "no longer needed")


@pytest.mark.parametrize(("action", "status"), [("terminate", "Running"), ("purge", "Completed")])
def test_what_destroys_needs_its_word_typed(admin_client, action, status):
    instance = rows.instance("one", status=status)

    refused = admin_client.post(LIST, chosen(action, instance, reason="because", confirm="yes"))

    assert refused.status_code == 422
    assert f"Type the word {action}." in refused.text
    assert not InboxMessage.objects.exists() and Instance.objects.exists()


@pytest.mark.parametrize("spared", [True, False])
def test_termination_tells_of_the_sub_orchestrations_and_can_spare_them(admin_client, spared):
    parent = rows.instance("parent")
    rows.instance("child", parent=parent)
    form = chosen("terminate", parent, reason="because", confirm="terminate")

    asked = admin_client.post(LIST, {key: form[key] for key in ("action", "_selected_action")}).text
    admin_client.post(LIST, form if spared else {**form, "recursive": "on"})

    assert "One live sub-orchestration ends too, unless you say otherwise." in asked
    assert re.search(r'name="recursive"[^>]* checked', asked)
    assert ('"recursive":true' in InboxMessage.objects.get().attributes) is not spared


def test_a_job_of_the_admin_keeps_what_its_form_says(admin_client):
    rows.instance("one")
    form = {"action": "terminate", "_selected_action": [1], "select_across": "1", "confirmed": "1"}

    admin_client.post(LIST, {**form, "reason": "because", "confirm": "terminate"})

    assert BulkJob.objects.get().parameters == {"recursive": False}


def test_acts_that_the_admin_lacks_are_links_to_their_pages(admin_client):
    live, ended = rows.instance("live"), rows.instance("ended", status="Completed")

    of_live, of_ended = (admin_client.get(f"{LIST}{row.pk}/change/").text for row in (live, ended))

    assert re.findall(r'href="(/hubs/default/i/live/do/[^"]+)"', of_live) == [
        "/hubs/default/i/live/do/raise/",
        "/hubs/default/i/live/do/tags/",
    ]
    assert "/hubs/default/i/ended/do/restart/" in of_ended
    assert admin_client.get("/hubs/default/i/live/do/raise/").status_code == 200


def test_a_whole_filter_becomes_a_bulk_job_that_acts_on_what_was_shown(admin_client):
    for number in range(3):
        rows.instance(f"order-{number}", status="Failed" if number else "Running")
    ours = f"{LIST}?status__exact=Failed&q=order-"
    form = {"action": "rewind", "_selected_action": [1], "select_across": "1"}

    page = admin_client.post(ours, form)
    assert "<strong>2 instances</strong>" in page.text
    assert "order-0" not in page.text
    assert not BulkJob.objects.exists()
    told = admin_client.post(ours, {**form, "confirmed": "1", "reason": "mended"}, follow=True).text

    job = BulkJob.objects.get()
    assert f"/hubs/default/bulk/{job.pk}/" in told
    assert (job.action, job.reason, job.via, job.creator_name) == ("rewind", "mended", "Admin", "admin")
    found = Selection.from_json(job.selection).rows("default", "default")
    assert {row.instance_id for row in found} == {"order-1", "order-2"}
    assert not InboxMessage.objects.exists(), "that is for the worker"


def test_a_whole_filter_needs_its_reason_and_its_right_too(admin_client, client):
    rows.instance("one")
    form = {"action": "terminate", "_selected_action": [1], "select_across": "1", "confirmed": "1"}

    assert "Say why" in admin_client.post(LIST, form).text
    staff("view_instance").post(LIST, {**form, "reason": "because"})

    assert not BulkJob.objects.exists()


# Cheap at any size ---------------------------------------------------------------------------------------------------

READS_ALL = re.compile(r"COUNT\(|DISTINCT|MIN\(|MAX\(|UPPER\(| LIKE ", re.IGNORECASE)
SMALL = (
    "durable_worker",
    "durable_grant",
    "durable_chore",
    "durable_api_key",
    "durable_outgoing_webhook",
    "durable_incoming_webhook",
)


def whole_tables(queries) -> list[str]:
    """What Django's own lists do that reads a whole table: counts, distinct values, earliest dates, folded texts."""
    ours = [query["sql"] or "" for query in queries if "durable_" in (query["sql"] or "")]
    large = [sql for sql in ours if not any(f'FROM "{name}"' in sql for name in SMALL)]
    return [sql for sql in large if READS_ALL.search(sql) and "LIMIT" not in sql]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize(
    "query",
    [{}, {"q": "one"}, {"q": "@counter@a"}, {"_facets": "True"}],
    ids=["list", "search", "search for an entity", "counts beside filters"],
)
def test_no_list_reads_a_whole_table(admin_client, model, query, django_assert_max_num_queries):
    instance = rows.instance("one")
    rows.history(instance, (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge"}))
    rows.wait(instance)
    rows.entity("@counter@a", "1")

    with django_assert_max_num_queries(16) as captured:
        assert admin_client.get(f"/admin/orchestrations/{model._meta.model_name}/", query).status_code == 200

    assert whole_tables(captured.captured_queries) == []


def test_no_column_can_be_sorted_without_an_index(admin_client):
    rows.instance("one")

    assert 'class="sortable' not in admin_client.get(LIST, {"o": "4"}).text


def test_a_filter_without_an_index_looks_at_the_newest_rows_alone(admin_client, monkeypatch):
    monkeypatch.setattr("orchestrations.admin.looking.NEWEST_ROWS", 3)
    instance = rows.instance("one")
    rows.history(instance, *[(EventType.TASK_SCHEDULED, {"task_id": number, "name": "charge"}) for number in range(9)])
    listed = "/admin/orchestrations/historyevent/"

    def count(**query: str) -> int:
        return admin_client.get(listed, query).text.count('class="field-sequence"')

    assert (count(), count(type__exact="TaskScheduled"), count(q="one", type__exact="TaskScheduled")) == (9, 3, 9)


def test_a_list_is_of_one_hub_and_others_can_be_chosen(admin_client):
    rows.instance("ours")
    rows.instance("theirs", hub="other")

    assert "theirs" not in admin_client.get(LIST).text
    assert "?hub=other" in admin_client.get(LIST).text
    page = admin_client.get(LIST, {"hub": "other"}).text
    assert "theirs" in page
    assert ">ours<" not in page


@pytest.mark.parametrize("period, count", [("hour", 1), ("day", 2), ("week", 3), ("", 4)])
def test_instances_are_found_by_when_they_were_created(admin_client, period, count):
    for hours in (0, 2, 48, 24 * 30):
        rows.instance(created_at=timezone.now() - timedelta(hours=hours, minutes=1))

    assert admin_client.get(LIST, {"created": period} if period else {}).text.count('class="field-name"') == count


def test_an_instance_leads_to_what_belongs_to_it_and_the_dashboard_leads_back(admin_client):
    instance = rows.instance("one & two")
    page = admin_client.get(f"{LIST}{instance.pk}/change/").text

    links = re.findall(r'href="([^"]+\?(?:q=one|instance__id)[^"]+)"', page)
    assert [admin_client.get(html.unescape(link)).status_code for link in links] == [200] * 8
    assert f"{LIST}{instance.pk}/change/" in admin_client.get("/hubs/default/i/one%20%26%20two/").text


def test_rows_lead_to_their_pages_in_the_dashboard(admin_client):
    instance, hub = rows.instance("one"), {"hub": "default"}
    event = HistoryEvent.objects.create(
        instance=instance, execution=1, sequence=4, type="TimerFired", timestamp=timezone.now()
    )
    job = BulkJob.objects.create(action="suspend", selection="{}", via="API", **hub)
    lease = WorkerLease.objects.create(worker="vm:7", host="vm", pid=7, expires_at=timezone.now(), **hub)
    chore = Chore.objects.create(name="sweep", due_at=timezone.now(), **hub)
    pages = {
        event: "/hubs/default/i/one/e/1/4/",
        rows.entity("@counter@a"): "/hubs/default/entities/counter/a/",
        job: f"/hubs/default/bulk/{job.pk}/",
        lease: "/hubs/default/workers/",
        chore: "/hubs/default/retention/",
    }

    for row, page in pages.items():
        name = row._meta.model_name
        text = admin_client.get(f"/admin/orchestrations/{name}/{row.pk}/change/").text
        assert f'href="{page}"' in text
        assert admin_client.get(page).status_code == 200


def test_the_dashboard_leads_to_the_rows_and_the_admin_to_the_dashboard(admin_client, client):
    entity, task = rows.entity("@counter@a"), rows.task(rows.instance("one"))
    pages = {
        "/hubs/default/entities/counter/a/": f"/admin/orchestrations/entity/{entity.pk}/change/",
        f"/approvals/{task.pk}/": f"/admin/orchestrations/humantask/{task.pk}/change/",
        "/hubs/default/workers/": "/admin/orchestrations/workerlease/?hub=default",
        "/admin/": "/",
    }

    for page, link in pages.items():
        text = admin_client.get(page).text
        assert f'href="{link}"' in text
        assert admin_client.get(link, follow=True).status_code == 200


def test_an_entity_leads_to_what_can_be_done_to_it(admin_client):
    row = rows.entity("@counter@a")

    text = admin_client.get(f"/admin/orchestrations/entity/{row.pk}/change/").text

    for page in ("/hubs/default/signals/counter/a/", "/hubs/default/entities-clean/"):
        assert f'href="{page}"' in text
        assert admin_client.get(page).status_code == 200


@pytest.mark.parametrize(
    ("model", "period", "column", "values"),
    [
        (AuditEntry, "when", "at", {"instance_id": "one", "action": "purge", "actor_name": "dana", "via": "API"}),
        (BulkJob, "created", "created_at", {"action": "suspend", "selection": "{}", "via": "API"}),
    ],
)
def test_rows_are_found_by_their_period(admin_client, model, period, column, values):
    for hours in (0, 48):
        model.objects.create(hub="default", **values, **{column: timezone.now() - timedelta(hours=hours)})

    name = model._meta.model_name
    pages = [admin_client.get(f"/admin/orchestrations/{name}/", given).text for given in ({}, {period: "day"})]

    assert [len(re.findall(rf"/{name}/\d+/change/", page)) for page in pages] == [2, 1]


def test_jobs_are_found_by_number_and_maker_and_workers_by_name(admin_client):
    jobs = [
        BulkJob.objects.create(hub="default", action="suspend", selection="{}", via="API", creator_name=name)
        for name in ("dana", "erin")
    ]
    WorkerLease.objects.create(hub="default", worker="vm:7", host="vm", pid=7, expires_at=timezone.now())

    def found(model: str, term: str) -> list[str]:
        page = admin_client.get(f"/admin/orchestrations/{model}/", {"q": term}).text
        return re.findall(rf"/{model}/(\d+)/change/", page)

    assert found("bulkjob", "erin") == [str(jobs[1].pk)]
    assert found("bulkjob", str(jobs[0].pk)) == [str(jobs[0].pk)]
    assert len(found("workerlease", "vm:7")) == 1
    assert found("workerlease", "vm") == []


# No way to run code --------------------------------------------------------------------------------------------------


def test_no_request_adds_changes_or_resubmits_a_task_of_the_queue(admin_client):
    schedule = Schedule.objects.create(func="tests.rows.instance")
    failed = Task.objects.create(
        id="1" * 32, name="failed", func="os.system", started=timezone.now(), stopped=timezone.now(), success=False
    )
    asked = {
        "/admin/django_q/schedule/add/": {"func": "os.system", "args": "'id'", "schedule_type": "O"},
        f"/admin/django_q/schedule/{schedule.pk}/change/": {"func": "os.system"},
        "/admin/django_q/failure/": {"action": "retry_failed", "_selected_action": [failed.pk]},
        "/admin/django_q/success/": {"action": "resubmit_task", "_selected_action": [failed.pk]},
    }

    for path, form in asked.items():
        assert admin_client.post(path, form).status_code == 404
    schedule.refresh_from_db()
    assert schedule.func == "tests.rows.instance"
    assert not OrmQ.objects.exists()
    assert "django_q" not in admin_client.get("/admin/").text


def test_people_groups_and_keys_are_managed_here(admin_client):
    page = admin_client.get("/admin/").text

    for path in ("auth/user", "auth/group", "orchestrations/apikey"):
        assert f"/admin/{path}/add/" in page
