"""Acts on many instances in the dashboard: chosen, previewed, confirmed, followed and stopped."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrations.bulk.runner import BulkRunner
from orchestrations.bulk.selections import Selection
from orchestrations.core.events import EventType
from orchestrations.models import AuditEntry, BulkJob, BulkProblem, Grant, InboxMessage, Instance, LargePayload
from orchestrations.store import get_store
from tests import rows

HTMX = {"HX-Request": "true"}
BULK = "/hubs/default/bulk/"


def new(action: str = "", **query: object) -> str:
    return f"{BULK}new/?{urlencode({'action': action, **query}, doseq=True)}"


def hidden(page: str) -> dict[str, str]:
    """The form's hidden values, as a browser sends them back."""
    return {
        name: re.search(rf'name="{name}" value="([^"]+)"', page)[1]  # type: ignore[index]
        for name in ("token", "seen")
    }


def work() -> None:
    while BulkRunner(get_store()).run_batch():
        pass


def test_the_selected_instances_are_named_and_acted_on(operator):
    one, two = rows.instance("one"), rows.instance("two", minutes=1)
    rows.instance("three")
    where = new("suspend", pk=[one.pk, two.pk])

    page = operator.get(where).text

    assert "Suspend 2 instances" in page
    assert page.index(">two<") < page.index(">one<")
    assert ">three<" not in page
    assert not re.search(r"<label[^>]*>(Token|Seen)", page)
    made = operator.post(where, {**hidden(page), "reason": "outage"})
    assert made.status_code == 302
    work()
    assert sorted(InboxMessage.objects.values_list("instance__instance_id", flat=True)) == ["one", "two"]
    assert AuditEntry.objects.first().via == "Dashboard"


def test_all_that_match_are_as_many_as_were_previewed(operator):
    for number in range(30):
        rows.instance(f"order-{number}", name="bill", minutes=number)
    rows.instance("ended", name="bill", status="Completed")
    rows.instance("other", name="echo")
    where = new("terminate", all=1, q="name:bill")

    page = operator.get(where).text

    assert "Terminate 30 instances" in page
    assert "1 of them is in a status that does not allow it" in page
    assert "all instances that match name:bill" in page
    operator.post(where, {**hidden(page), "reason": "wrong prices", "confirm": "terminate", "recursive": "on"})
    work()
    assert (BulkJob.objects.get().total, BulkJob.objects.get().done) == (30, 30)


def ended(instance_id: str, **columns: object) -> Instance:
    instance = rows.instance(instance_id, status="Completed", **columns)
    payload = '"' + "x" * 98 + '"'
    rows.history(instance, (EventType.EXECUTION_STARTED, {"payload": payload}), (EventType.TASK_SCHEDULED, {}))
    return instance


def test_a_purge_says_what_it_removes_and_what_is_left_below(operator):
    parent, other = ended("parent"), ended("other", minutes=1)
    ended("child", parent=parent)
    LargePayload.objects.create(hub="default", instance=other, name="a file")

    page = operator.get(new("purge", pk=[parent.pk, other.pk])).text

    assert "This removes 4 events with 200 B of payloads, and one file." in page
    assert "One sub-orchestration of theirs is not chosen. It stays unless you say otherwise." in page
    with_child = operator.get(new("purge", all=1, q="status:completed children")).text
    assert "of theirs" not in with_child


def test_a_purge_of_many_measures_the_first_of_them_at_the_same_cost(operator, monkeypatch):
    monkeypatch.setattr("orchestrations.interfaces.dashboard.views.bulk.MEASURED_INSTANCES", 3)
    monkeypatch.setattr("orchestrations.interfaces.dashboard.consequences.MEASURED_INSTANCES", 3)
    counts = []
    for number in range(5):
        ended(f"order-{number}")
        with CaptureQueriesContext(connection) as queries:
            page = operator.get(new("purge", all=1)).text
        counts.append(len(queries))

    assert "The first 3 of them have 6 events with 300 B of payloads." in page
    assert "This removes" not in page
    assert len(set(counts[1:])) == 1


def test_what_was_started_after_the_preview_is_left_alone(operator):
    rows.instance("seen")
    where = new("suspend", all=1)
    page = operator.get(where).text
    from django.utils import timezone

    instance = rows.instance("later")
    instance.created_at = timezone.now()
    instance.save()

    operator.post(where, hidden(page))
    work()

    assert InboxMessage.objects.get().instance.instance_id == "seen"


@pytest.mark.parametrize(
    "slug, given, told",
    [
        ("terminate", {"reason": "x"}, "Type the word terminate."),
        ("terminate", {"confirm": "terminate"}, "Say why"),
        ("rewind", {}, "Say why"),
        ("purge", {"reason": "x", "confirm": "terminate"}, "Type the word purge."),
        ("raise", {"event_name": "paid", "event_data": "{"}, "the value"),
        ("raise", {}, "Event name"),
        ("tags", {}, "No tag is named"),
        ("tags", {"tags": "a=b", "remove_tags": "a"}, "both set and removed"),
        ("tags", {"tags": "nothing"}, "Line 1 is no tag"),
    ],
)
def test_a_form_that_is_not_filled_in_makes_no_job(operator, slug, given, told):
    for status in ("Running", "Failed"):
        rows.instance(status=status)
    page = operator.get(new(slug, all=1)).text

    response = operator.post(new(slug, all=1), {**hidden(page), **given})

    assert response.status_code == 422
    assert told in response.text
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize(
    ("action", "words"), [("tags", "Change tags of 1 instance"), ("raise", "Raise event for 1 instance")]
)
def test_what_is_done_to_many_is_one_sentence(operator, action, words):
    rows.instance("one")

    assert f"<h1>{words}</h1>" in operator.get(new(action, all=1)).text


@pytest.mark.parametrize(
    ("action", "first"),
    [("tags", "tags"), ("raise", "event_name"), ("suspend", "reason"), ("terminate", "reason")],
)
def test_the_form_opens_at_what_is_typed_first(operator, action, first):
    rows.instance("one")

    page = operator.get(new(action, all=1)).text

    assert re.findall(r'<(?:input|textarea)[^>]* name="(\w+)"[^>]* autofocus', page) == [first]


@pytest.mark.parametrize(
    ("total", "handled", "told"),
    [(None, 0, "A worker is about to begin."), (240, 1, "1 of 240 instances has had its turn."),
     (240, 2, "2 of 240 instances have had their turn.")],
)  # fmt: skip
def test_a_job_says_how_far_it_is(operator, total, handled, told):
    rows.instance("one")
    job = made(operator)
    state = BulkJob.State.RUNNING if total else BulkJob.State.PENDING
    BulkJob.objects.filter(pk=job.pk).update(state=state, total=total, done=handled)

    assert told in operator.get(f"{BULK}{job.pk}/").text


@pytest.mark.parametrize("action", ["terminate", "purge"])
def test_the_word_that_guards_a_job_is_not_called_optional(operator, action):
    rows.instance("one", status="Completed" if action == "purge" else "Running")

    page = operator.get(new(action, all=1)).text

    assert f'<label for="id_confirm">Type {action}, to be sure</label>' in page
    assert ("Kept in the audit trail." in page) == (action == "purge")


def test_pressing_twice_makes_one_job(operator):
    rows.instance("one")
    page = operator.get(new("suspend", all=1)).text

    first, second = (operator.post(new("suspend", all=1), hidden(page)) for _ in range(2))

    assert first["Location"] == second["Location"]
    assert BulkJob.objects.count() == 1


@pytest.mark.parametrize("seen", ["", "2026-01-01T00:00:00+00:00"])
def test_the_time_of_the_preview_cannot_be_made_up(operator, seen):
    rows.instance("one")
    page = operator.get(new("suspend", all=1)).text

    response = operator.post(new("suspend", all=1), {**hidden(page), "seen": seen})

    assert response.status_code == 422
    assert not BulkJob.objects.exists()


def test_without_an_act_those_that_are_allowed_are_offered(operator, viewer):
    rows.instance("one")

    assert "Terminate…" in operator.get(new(all=1)).text
    assert "none of the permissions" in viewer.get(new(all=1)).text
    assert "Nothing is selected" in operator.get(new()).text


def test_an_act_that_reaches_nothing_is_not_offered(operator):
    rows.instance("ended", status="Completed")

    page = operator.get(new("suspend", all=1)).text

    assert "there is nothing to do" in page
    assert "csrfmiddlewaretoken" in page and '<button class="button primary' not in page


def test_a_query_that_cannot_be_read_is_told(operator):
    response = operator.get(new("suspend", all=1, q="colour:red"))

    assert response.status_code == 422
    assert "colour" in response.text


def test_who_lacks_the_right_previews_nothing(viewer, approver):
    rows.instance("one")

    assert viewer.get(new("terminate", all=1)).status_code == 403
    assert approver.get(BULK).status_code == 403


def made(browser) -> BulkJob:
    browser.post(new("suspend", all=1), hidden(browser.get(new("suspend", all=1)).text))
    return BulkJob.objects.latest("pk")


def narrowed(browser, *actions: str, names: str = "bill") -> None:
    Grant.objects.create(user_id=browser.session["_auth_user_id"], actions=list(actions), names=names)


def job_of(browser, action: str) -> str:
    """The address of a new job on all instances."""
    where = new(action, all=1)
    return browser.post(where, {**hidden(browser.get(where).text), "reason": "x", "confirm": action})["Location"]


def test_a_holder_of_grants_follows_and_stops_the_job_that_they_made_and_knows_of_no_other(approver, operator):
    narrowed(approver, "view", "terminate")
    rows.instance("one", name="bill")
    rows.instance("two", name="echo")
    theirs = job_of(operator, "suspend")

    own = job_of(approver, "terminate")

    assert [approver.get(f"{own}{part}").status_code for part in ("", "live/", "tick/")] == [200, 200, 200]
    listed = approver.get(BULK).text
    assert (own in listed, theirs in listed) == (True, False)
    assert [approver.get(f"{theirs}{part}").status_code for part in ("", "live/", "tick/")] == [404, 404, 404]
    assert approver.post(f"{theirs}stop/").status_code == 404
    assert approver.post(f"{own}stop/", {"reason": "x"}).status_code == 302
    assert BulkJob.objects.get(action="terminate").state == "Stopped"


def test_who_may_do_to_everything_what_a_job_does_sees_and_stops_it(approver, operator):
    narrowed(approver, "view")
    narrowed(approver, "suspend", names="*")
    rows.instance("two", name="echo")
    job = job_of(operator, "suspend")

    assert job in approver.get(BULK).text
    assert f"{job}stop/" in approver.get(job).text
    assert approver.post(f"{job}stop/", {"reason": "x"}).status_code == 302


def test_the_page_of_a_job_follows_it_and_comes_to_rest(operator):
    rows.instance("one")
    job = made(operator)
    where = f"{BULK}{job.pk}/"
    before = operator.get(where).text
    assert 'data-tick="' in before and ">Stop…<" in before
    version = re.search(r'data-watch="(bulk_job:\w+)"', before)[1]
    assert operator.get(f"{where}tick/", {"v": version}).status_code == 204

    work()

    assert operator.get(f"{where}tick/", {"v": version})["HX-Trigger"] == '{"dash:bulk_job": {}}'
    part = operator.get(f"{where}live/", headers=HTMX).text
    assert "<html" not in part and "data-tick" not in part
    assert "The one instance has had its turn." in part
    assert 'id="job-stop" hx-swap-oob="true"' in part


def test_the_page_of_a_job_says_what_was_chosen_and_how(operator):
    rows.instance("order-1")
    rows.instance("spared", name="other")
    where = new("terminate", all="1", q="status:running name:ech* id:order-*")
    form = {**hidden(operator.get(where).text), "reason": "wrong", "confirm": "terminate", "recursive": "on"}
    operator.post(where, form)
    job = BulkJob.objects.get()
    page = operator.get(f"{BULK}{job.pk}/").text

    link = html.unescape(re.search(r'<dt>Chosen</dt><dd><a class="mono" href="([^"]+)"', page)[1])
    assert "status:running name:ech* id:order-* created&lt;" in page
    assert "with its sub-orchestrations" in page
    shown = operator.get(link, follow=True).text
    assert "order-1" in shown and "spared" not in shown


def test_a_job_of_ticked_instances_says_how_many(operator):
    one = rows.instance("one")
    where = new("tags", pk=[one.pk])
    operator.post(where, {**hidden(operator.get(where).text), "tags": "team=b"})

    page = operator.get(f"{BULK}{BulkJob.objects.get().pk}/").text

    assert "1 instance, one by one" in page
    assert "<dt>How</dt><dd>tag team: b</dd>" in page


def test_a_job_leads_to_its_acts_in_the_audit_trail(admin_client):
    rows.instance("one")
    rows.instance("two")
    for instance_id in ("one", "two"):
        pk = Instance.objects.get(instance_id=instance_id).pk
        where = new("suspend", pk=[pk])
        admin_client.post(where, hidden(admin_client.get(where).text))
    work()
    first, second = BulkJob.objects.order_by("pk")

    assert f'href="/hubs/default/audit/?job={first.pk}"' in admin_client.get(f"{BULK}{first.pk}/").text
    of_first = admin_client.get("/hubs/default/audit/", {"job": first.pk}).text

    assert f'href="/hubs/default/bulk/{first.pk}/"' in of_first
    assert f'href="/hubs/default/bulk/{second.pk}/"' not in of_first
    assert "/i/one/" in of_first and "/i/two/" not in of_first
    exported = admin_client.get("/hubs/default/audit/export.ndjson", {"job": first.pk}).getvalue()
    assert exported.count(b"\n") == 3  # with the line that says that it is whole


def test_what_was_not_done_is_listed_with_the_reason(operator):
    one = rows.instance("one", status="Completed")
    two = rows.instance("two")
    where = new("suspend", pk=[one.pk, two.pk])
    operator.post(where, hidden(operator.get(where).text))
    work()

    page = operator.get(f"{BULK}{BulkJob.objects.get().pk}/").text

    assert "It is Completed." in page


def with_problems(skipped: int, failed: int, state: str = "Completed") -> BulkJob:
    selection = Selection.of_ids(["one"]).to_json()
    job = BulkJob.objects.create(
        hub="default", action="suspend", selection=selection, state=state, skipped=skipped, failed=failed, total=999,
        creator_name="operator", via="Dashboard",
    )  # fmt: skip
    for outcome, number in (("skipped", skipped), ("failed", failed)):
        BulkProblem.objects.bulk_create(
            BulkProblem(job=job, instance_id=f"{outcome}-{n:03}", outcome=outcome, why=f"<b>{outcome}</b>")
            for n in range(number)
        )
    return job


def listed(page: str) -> list[str]:
    return re.findall(r'<tr id="problem-\d+"><td class="mono id"><a href="[^"]+">([^<]+)</a>', page)


def test_all_that_was_not_done_is_reached_by_pages_and_by_outcome(operator):
    address = f"{BULK}{with_problems(skipped=130, failed=3).pk}/"

    pages = [operator.get(address).text]
    while later := re.search(r'href="([^"#]+)#problems" rel="next"', pages[-1]):
        pages.append(operator.get(html.unescape(later[1])).text)

    everything = [name for page in pages for name in listed(page)]
    assert everything == [f"skipped-{n:03}" for n in range(130)] + [f"failed-{n:03}" for n in range(3)]
    assert len(pages) == 3
    assert listed(operator.get(address, {"outcome": "failed"}).text) == [f"failed-{n:03}" for n in range(3)]
    assert "All <strong>133</strong>" in pages[0]
    assert "<b>" not in pages[0]
    assert operator.get(address, {"outcome": "lost"}).status_code == 404
    assert operator.get(address, {"cursor": "made-up"}).status_code == 404


def test_a_running_job_keeps_to_the_page_that_is_read(operator):
    address = f"{BULK}{with_problems(skipped=60, failed=2, state='Running').pk}/"

    page = operator.get(address, {"outcome": "failed"}).text
    again = operator.get(html.unescape(re.search(r'hx-get="([^"]+live/[^"]*)"', page)[1]), headers=HTMX).text

    assert listed(again) == listed(page) == ["failed-000", "failed-001"]


def test_a_job_is_stopped_once(operator):
    rows.instance("one")
    job = made(operator)

    asked = operator.get(f"{BULK}{job.pk}/stop/").text
    refused = operator.post(f"{BULK}{job.pk}/stop/")
    stopped = operator.post(f"{BULK}{job.pk}/stop/", {"reason": "wrong ones"})

    assert "have had their turn so far" in asked
    assert (refused.status_code, stopped.status_code) == (422, 302)
    work()
    assert not InboxMessage.objects.exists()
    again = operator.post(f"{BULK}{job.pk}/stop/")
    assert again.status_code == 409
    assert "over already" in again.text
    assert "Stopped by operator" in operator.get(f"{BULK}{job.pk}/").text


def test_jobs_are_listed_with_few_queries(operator, viewer, django_assert_max_num_queries):
    rows.instance("one")
    assert "No bulk jobs yet" in operator.get(BULK).text
    for _ in range(5):
        made(operator)

    with django_assert_max_num_queries(6):
        page = viewer.get(BULK).text

    assert page.count("Suspend (") == 5
    assert viewer.get(f"{BULK}999/").status_code == 404
    assert viewer.get(BULK, {"cursor": "made-up"}).status_code == 404


def test_the_list_of_jobs_hears_of_their_progress_and_of_new_ones(operator, approver):
    rows.instance("one")
    made(operator)
    page = operator.get(BULK).text
    tick, live, watched = (
        html.unescape(re.search(rf'id="jobs"[^>]*{name}="([^"]+)"', page)[1])
        for name in ("data-tick", "hx-get", "data-watch")
    )
    assert operator.get(f"{tick}&v={watched}").status_code == 204

    work()
    made(operator)

    assert operator.get(f"{tick}&v={watched}")["HX-Trigger"] == '{"dash:jobs": {}}'
    again = operator.get(live, headers=HTMX).text
    assert "<html" not in again
    assert "Show 1 new job<" in again
    assert (again.count("Suspend ("), again.count("Completed")) == (1, 1)
    watched = re.search(r'data-watch="([^"]+)"', again)[1]
    assert operator.get(f"{tick}&v={watched}").status_code == 204
    assert approver.get(live).status_code == 403


def test_who_is_shown_own_jobs_alone_hears_of_no_others(approver, operator):
    narrowed(approver, "view", "suspend", names="echo")
    live = html.unescape(re.search(r'id="jobs"[^>]*hx-get="([^"]+)"', approver.get(BULK).text)[1])
    rows.instance("one")
    job = made(operator)

    again = approver.get(live.replace("ids=", f"ids={job.pk}")).text

    assert "Suspend (" not in again and "new job" not in again


def test_a_preview_costs_few_queries(operator, django_assert_max_num_queries):
    for number in range(30):
        rows.instance(f"order-{number}", minutes=number)

    with django_assert_max_num_queries(9):
        operator.get(new("suspend", all=1))


def test_the_list_leads_to_what_may_be_done_to_its_rows(operator, viewer):
    instance = rows.instance("one")

    page = operator.get("/hubs/default/instances/", {"q": "status:running"}).text

    assert f'name="pk" value="{instance.pk}" form="bulk"' in page
    assert f'formaction="{BULK}new/"' in page
    assert '<option value="terminate">Terminate</option>' in page
    assert f"{BULK}new/" not in viewer.get("/hubs/default/instances/").text
