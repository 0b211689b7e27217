"""Acting in a real browser: on one instance, on many, starting new ones and looking after entities."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from orchestrations.bulk.runner import BulkRunner
from orchestrations.core.events import EventType
from orchestrations.models import AuditEntry, BulkJob, BulkProblem, HistoryEvent, Instance
from orchestrations.store import get_store
from tests import rows
from tests.e2e.looks import faults, on_one_database, problems
from tests.functions import registered
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

ONE = "/hubs/default/i/one/"


@pytest.fixture(autouse=True)
def functions():
    with registered():
        yield


def work(batches: int = 1_000) -> None:
    runner = BulkRunner(get_store())
    while batches and runner.run_batch():
        batches -= 1


def test_an_ended_instance_offers_no_termination_and_refuses_a_made_up_one(people, open_page, forgiven):
    forgiven.add("status of 409")
    rows.instance("one", status="Completed")
    page = open_page("admin", ONE)

    expect(page.get_by_role("link", name="Purge…")).to_be_visible()
    assert page.get_by_role("link", name="Suspend…").count() == page.get_by_role("link", name="Terminate…").count() == 0
    page.goto(f"{ONE}do/terminate/")

    expect(page.get_by_role("alert")).to_contain_text("one is Completed")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_termination_without_a_reason_leads_to_the_reason(people, open_page, engine, javascript):
    rows.instance("one")
    page = open_page("admin", ONE, javascript=javascript)
    page.get_by_role("link", name="Terminate…").click()
    form = page.get_by_role("dialog") if javascript else page.locator("main")

    form.get_by_role("button", name="Terminate").click()

    reason = form.get_by_label("Reason")
    expect(form.get_by_text("Say why")).to_be_visible()
    if javascript:  # autofocus moves the focus of a page that is loaded anew by itself
        expect(reason).to_be_focused()
        assert not faults(page)
    reason.fill("duplicate run")
    form.get_by_role("button", name="Terminate").click()

    eventually(lambda: HistoryEvent.objects.filter(type="ExecutionTerminated", attributes__contains="duplicate run"))
    assert AuditEntry.objects.get().reason == "duplicate run"


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_step_of_the_history_is_run_again_in_a_new_instance(people, open_page, forgiven, javascript):
    forgiven.add("status of 409")
    instance = rows.instance("one", status="Completed", input="1")
    called, done = (
        (EventType.TASK_SCHEDULED, {"task_id": 1, "name": "charge"}),
        (EventType.TASK_COMPLETED, {"task_id": 1}),
    )
    rows.history(instance, (EventType.EXECUTION_STARTED, {}), called, done)
    page = open_page("admin", f"{ONE}history/", javascript=javascript)
    page.get_by_role("row", name="TaskCompleted").get_by_role("link", name="Re-run…").click()

    form = page.get_by_role("dialog") if javascript else page.locator("main")
    expect(form).to_contain_text("Step 3, TaskCompleted")
    expect(form).to_contain_text("What was open at that step begins anew: charge.")
    form.get_by_label("Reason").fill("charged twice")
    form.get_by_role("button", name="Re-run from here").click()

    expect(page.get_by_role("region", name="Facts")).to_contain_text("Forked from")
    forked = Instance.objects.get(forked_from="one")
    expect(page.get_by_role("heading", level=1)).to_contain_text(forked.instance_id)
    page.goto(f"{ONE}related/")
    expect(page.get_by_role("link", name=forked.instance_id)).to_be_visible()
    assert AuditEntry.objects.get().reason == "charged twice"


def test_a_purge_asks_for_the_id_counts_the_children_and_leaves_a_stub(people, open_page, forgiven):
    forgiven |= {"status of 404", "status of 410"}
    parent = rows.instance("one", status="Completed")
    for _ in range(12):
        rows.instance(parent=parent, status="Completed")
    page = open_page("admin", ONE)
    page.get_by_role("link", name="Purge…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It has 12 sub-orchestrations")

    dialog.get_by_label("Reason").fill("no longer needed")
    dialog.get_by_role("button", name="Purge").click()
    expect(dialog.get_by_role("alert")).to_contain_text("That is not the id")
    assert not faults(page)
    dialog.get_by_label("Type the instance id").fill("one")
    dialog.get_by_role("button", name="Purge").click()

    expect(page.locator(".why")).to_contain_text("Purged by admin")
    expect(page.locator(".why")).to_contain_text("no longer needed")
    assert page.url.endswith(ONE)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_all_that_match_are_terminated_by_a_job_that_others_watch_and_stop(people, open_page, javascript):
    for number in range(240):
        rows.instance(f"order-{number}", name="bill", minutes=number)
    rows.instance("spared", name="echo")
    page = open_page("admin", "/hubs/default/instances/?q=name:bill", javascript=javascript)
    page.get_by_label("What to do").select_option("terminate")
    page.get_by_role("button", name="All that match…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Terminate 240 instances")

    page.get_by_label("Reason").fill("wrong prices")
    page.get_by_label("Type terminate").fill("terminate")
    page.get_by_role("button", name="Terminate 240").click()
    expect(page.get_by_role("link", name="Stop…")).to_be_visible()
    other = open_page("admin", page.url, javascript=javascript)
    work(batches=1)
    for one in (page, other):
        if not javascript:
            one.reload()
        expect(one.get_by_text("100 of 240 instances have had their turn.")).to_be_visible()

    page.get_by_role("link", name="Stop…").click()
    page.get_by_label("Reason").fill("the prices are right after all")
    page.get_by_role("button", name="Stop").click()

    expect(page.locator("main")).to_contain_text("Stopped by admin after 100 of 240 instances.")
    work()
    job = BulkJob.objects.get()
    assert (job.state, job.total, job.done) == ("Stopped", 240, 100)
    if javascript:
        expect(other.get_by_text("Stopped by admin")).to_be_visible()
        expect(other.get_by_role("link", name="Stop…")).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_all_that_a_job_did_not_do_is_reached(people, open_page, javascript):
    job = BulkJob.objects.create(
        hub="default", action="suspend", selection='{"ids": ["one"]}', state="Running", total=90, skipped=60, failed=2,
        creator_name="admin", via="Dashboard",
    )  # fmt: skip
    for outcome, number in (("skipped", 60), ("failed", 2)):
        BulkProblem.objects.bulk_create(
            BulkProblem(job=job, instance_id=f"{outcome}-{n}", outcome=outcome, why="It is Completed.")
            for n in range(number)
        )
    page = open_page("admin", f"/hubs/default/bulk/{job.pk}/", javascript=javascript)
    page.get_by_role("link", name="Later").click()
    expect(page.get_by_role("link", name="failed-1", exact=True)).to_be_visible()

    if javascript:
        BulkJob.objects.filter(pk=job.pk).update(state="Completed", done=28, batches=1)
        expect(page.locator("#job .badge")).to_have_text("Completed")
        expect(page.get_by_role("link", name="failed-1", exact=True)).to_be_visible()

    page.get_by_role("link", name="Failed 2").click()
    expect(page.get_by_role("row")).to_have_count(3)


def test_the_ticked_instances_are_acted_on_and_no_others(people, open_page):
    for number in range(3):
        rows.instance(f"order-{number}", minutes=number)
    page = open_page("admin", "/hubs/default/instances/")
    page.get_by_label("Select order-1").check()
    page.get_by_label("What to do").select_option("suspend")
    page.get_by_role("button", name="Selected…").click()
    page.get_by_role("button", name="Suspend 1").click()
    work()

    expect(page.get_by_text("The one instance has had its turn.")).to_be_visible()
    assert AuditEntry.objects.get(action="suspend").instance_id == "order-1"


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_an_orchestration_is_started_by_its_form(people, open_page, javascript):
    rows.instance("taken")
    page = open_page("admin", "/hubs/default/instances/", javascript=javascript)
    page.get_by_role("link", name="Start new…").click()
    page.get_by_role("link", name="bill", exact=True).click()
    page.get_by_label("Number").fill("7")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("Customer")
    expect(page.get_by_label("Number")).to_have_value("7")

    page.get_by_label("Customer").fill("ada")
    if javascript:
        page.get_by_label("Instance id").fill("taken")
        expect(page.locator("#id-check")).to_contain_text("Choose another id")
        page.get_by_label("Instance id").fill("order-7")
        expect(page.locator("#id-check")).to_contain_text("is free")
    else:
        page.get_by_label("Instance id").fill("order-7")
    page.get_by_role("button", name="Start").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("order-7")
    assert Instance.objects.get(instance_id="order-7").input == '{"number":7,"customer":"ada"}'


@on_one_database
def test_the_pages_of_acting_are_accessible_and_fit(people, open_page, forgiven):
    forgiven |= {"status of 409", "status of 404"}
    for name in ("one", "two"):
        rows.instance(name, name="bill", tags={"team": "a"}, input='{"number":7,"customer":"ada"}')
    ended = rows.instance("ended", status="Completed")
    rows.entity("@counter@north", '{"count": 41}', locked_by="one", backlog=1)
    page = open_page("admin", "/hubs/default/bulk/")
    found = problems(page)
    page.goto(f"/hubs/default/bulk/new/?action=suspend&pk={ended.pk}&pk={Instance.objects.get(instance_id='one').pk}")
    page.get_by_role("button", name="Suspend 1").click()
    job = page.url
    work()
    for path in (
        "/hubs/default/bulk/",
        "/hubs/default/bulk/new/",
        "/hubs/default/bulk/new/?all=1",
        "/hubs/default/bulk/new/?action=terminate&all=1",
        "/hubs/default/bulk/new/?action=raise&all=1",
        "/hubs/default/bulk/new/?action=tags&all=1&q=colour:red",
        job,
        f"{ONE}do/tags/",
        f"{ONE}do/raise/",
        f"{ONE}do/terminate/",
        f"{ONE}do/skip-timer/?task=3",
        "/hubs/default/start/",
        "/hubs/default/start/?name=bill",
        "/hubs/default/start/?like=one",
        "/hubs/default/start/?name=bill&json=1",
        "/hubs/default/entities/",
        "/hubs/default/entities/?name=nothing",
        "/hubs/default/entities/counter/north/",
        "/hubs/default/signals/counter/north/",
        "/hubs/default/entities-clean/",
    ):
        page.goto(path)
        found += [f"{path}: {fault}" for fault in problems(page)]

    assert not found, "\n".join(found)


def test_what_a_person_may_not_do_is_named_and_does_nothing(people, open_page):
    rows.instance("one")
    page = open_page("dana", ONE)

    button = page.get_by_role("button", name=re.compile("Terminate ?: needs the permission"))
    expect(button).to_have_attribute("aria-disabled", "true")
    assert not faults(page)
