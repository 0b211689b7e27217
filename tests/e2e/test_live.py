"""What happens on pages without a reload."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from durable_admin.samples.approval import Expense, settle_expense
from orchestrations import OrchestrationClient
from orchestrations.models import AuditEntry, BulkJob, Entity, InboxMessage, Instance
from tests import rows
from tests.e2e import scenes

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/hubs/default/instances/"
EXPENSE = Expense("Dana", "train to Berlin", Decimal("41.00"))


def row(page, instance_id: str):
    return page.locator("#rows tr", has_text=instance_id)


def test_a_row_changes_in_place_and_nothing_moves(people, open_page):
    for number in range(40):
        scenes.add(timezone.now(), f"order-{number:02}")
    page = open_page("admin", LIST)
    link = page.get_by_role("link", name="order-20")
    link.focus()
    scrolled = page.evaluate("scrollTo(0, 300), scrollY")

    Instance.objects.filter(instance_id="order-25").update(status="Completed", last_updated_at=timezone.now())

    expect(row(page, "order-25")).to_contain_text("Completed")
    expect(link).to_be_focused()
    assert page.evaluate("scrollY") == scrolled


def test_a_table_follows_while_it_is_scrolled_with_the_keyboard(people, open_page):
    page = open_page("admin", "/hubs/")
    table = page.get_by_role("region", name="Task hubs, as a table")
    table.focus()
    expect(table.get_by_role("cell", name="1", exact=True)).to_have_count(0)

    scenes.add(timezone.now(), "order-1")

    expect(table.get_by_role("cell", name="1", exact=True)).to_be_visible()
    expect(table).to_be_focused()


def test_new_instances_are_counted_and_shown_when_asked(people, open_page):
    scenes.add(timezone.now(), "first")
    page = open_page("admin", LIST)

    scenes.add(timezone.now(), "second")

    button = page.get_by_role("link", name="Show 1 new instance")
    expect(button).to_be_visible()
    assert page.locator("#rows tr").count() == 1
    button.click()
    expect(row(page, "second")).to_be_visible()
    expect(button).to_have_count(0)


def test_new_acts_are_counted_on_the_audit_page_and_leave_the_filter_alone(people, open_page):
    scenes.purged("old-order")
    page = open_page("admin", "/hubs/default/audit/")
    page.get_by_label("Who").type("da")

    scenes.purged("other-order")

    button = page.get_by_role("link", name="Show 2 new acts")
    expect(button).to_be_visible()
    expect(page.get_by_label("Who")).to_have_value("da")
    expect(page.get_by_role("row")).to_have_count(3)
    button.click()
    expect(page.get_by_role("row")).to_have_count(5)


def test_the_list_of_jobs_follows_them_without_a_reload(people, open_page):
    job = BulkJob.objects.create(
        hub="default", action="suspend", selection='{"ids": ["one"]}', state="Running", total=40, done=7,
        creator_name="admin", via="Dashboard",
    )  # fmt: skip
    page = open_page("admin", "/hubs/default/bulk/")
    link = page.get_by_role("link", name="Suspend (")
    link.focus()

    BulkJob.objects.filter(pk=job.pk).update(done=40, state="Completed", batches=2)

    expect(page.get_by_role("cell", name="40 of 40")).to_be_visible()
    expect(link).to_be_focused()


def test_the_page_of_an_entity_follows_it_without_a_reload(people, open_page):
    row = rows.entity("@counter@north", '{"count": 1}')
    page = open_page("admin", "/hubs/default/entities/counter/north/")
    expect(page.locator("pre")).to_contain_text('"count": 1')

    Entity.objects.filter(pk=row.pk).update(state='{"count": 2}', last_operation_at=timezone.now())
    expect(page.locator("pre")).to_contain_text('"count": 2')

    InboxMessage.objects.create(hub="default", instance=row.instance, type="EntityOperationSignaled", name="add")
    expect(page.get_by_role("cell", name="Signal add")).to_be_visible()


def test_who_approves_sees_the_instance_finish(people, engine, open_page):
    instance_id = OrchestrationClient().start_new(settle_expense, client_input=EXPENSE)
    page = open_page("admin", f"/hubs/default/i/{instance_id}/")
    expect(page.locator("#head .badge")).to_have_text("Waiting for human")

    page.get_by_label("Approve").check()
    page.get_by_label("Comment").fill("have a good trip")
    page.get_by_role("button", name="Send decision").click()

    expect(page.locator("#head .badge")).to_have_text("Completed")
    expect(page.locator("#tab svg a", has_text="pay_expense")).to_have_attribute(
        "aria-label", re.compile("^pay_expense, completed")
    )
    assert AuditEntry.objects.get(action="voted").actor_name == "admin"
    assert "41.00 EUR to Dana" in Instance.objects.get().output


def test_a_question_appears_in_the_inbox_and_its_outcome_on_its_page(people, engine, open_page):
    page = open_page("admin", "/approvals/")
    expect(page.get_by_text("Nothing waits for you")).to_be_visible()

    OrchestrationClient().start_new(settle_expense, client_input=EXPENSE)
    page.get_by_role("link", name="Pay 41.00 EUR to Dana?").click()
    expect(page.get_by_role("heading", name="Pay 41.00 EUR to Dana?")).to_be_visible()
    page.get_by_label("Reject").check()
    page.locator("[data-answer]").get_by_label("Comment").fill("no receipt")
    page.get_by_role("button", name="Send decision").click()

    expect(page.locator("#state")).to_contain_text("admin rejected this")
    expect(page.locator("#state")).to_contain_text("no receipt")
    expect(page.locator("#state .badge")).to_have_text("Completed")


def test_what_is_typed_into_an_answer_survives_live_updates(people, engine, open_page):
    instance_id = OrchestrationClient().start_new(settle_expense, client_input=EXPENSE)
    page = open_page("admin", f"/hubs/default/i/{instance_id}/")
    comment = page.get_by_label("Comment")
    comment.fill("half a sent")
    page.locator("h1").click()

    OrchestrationClient().suspend(instance_id, "vendor outage")

    expect(page.locator("#head .badge")).to_have_text("Suspended")
    expect(comment).to_have_value("half a sent")


def test_an_act_in_the_dialog(people, engine, open_page):
    instance_id = OrchestrationClient().start_new(settle_expense, client_input=EXPENSE)
    page = open_page("admin", f"/hubs/default/i/{instance_id}/")
    opener = page.get_by_role("link", name="Terminate…")
    opener.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()

    dialog.get_by_role("button", name="Terminate").click()
    expect(dialog.get_by_label("Reason")).to_be_focused()
    expect(dialog).to_contain_text("Say why")
    dialog.get_by_label("Reason").fill("duplicate run")
    dialog.get_by_role("button", name="Terminate").click()

    expect(dialog).to_be_hidden()
    expect(page.locator("#head .badge")).to_have_text("Terminated")
    expect(page.locator(".why")).to_contain_text("Terminated by admin")
    expect(page.locator("#head")).not_to_have_attribute("data-tick", "")


def test_escape_closes_the_dialog_and_gives_the_focus_back(site, open_page):
    page = open_page("admin", "/hubs/default/i/ob-552/")
    opener = page.get_by_role("link", name="Resume…")
    opener.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_failure_opens_in_the_history_and_stays_open(site, open_page):
    page = open_page("admin", "/hubs/default/i/ord-7F3A-0002/history/")
    page.get_by_text("ValueError: amount must be positive").first.click()
    trace = page.get_by_text("payments.py", exact=False).first
    expect(trace).to_be_visible()

    Instance.objects.filter(instance_id="ord-7F3A-0002").update(
        custom_status='"charging"', last_updated_at=timezone.now()
    )

    expect(page.locator("#facts")).to_contain_text("charging")
    expect(trace).to_be_visible()


def test_a_page_says_since_when_it_is_stale_and_recovers(people, open_page, forgiven):
    forgiven.add("ERR_FAILED")
    scenes.add(timezone.now(), "first")
    page = open_page("admin", LIST)
    page.route("**/tick/**", lambda route: route.abort())
    expect(page.locator("#stale")).to_contain_text("Stale since")
    page.unroute("**/tick/**")

    expect(page.locator("#stale")).to_be_hidden(timeout=30_000)


def test_a_paused_page_asks_nothing(people, open_page):
    instance = scenes.add(timezone.now(), "first")
    page = open_page("admin", LIST)
    page.clock.install()
    page.reload()
    asked: list[str] = []
    page.get_by_role("button", name="Live").click()
    page.on("request", lambda request: asked.append(request.url))
    Instance.objects.filter(pk=instance.pk).update(status="Completed", last_updated_at=timezone.now())

    page.clock.run_for(30_000)
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    assert not asked
    page.get_by_role("button", name="Paused").click()
    page.clock.run_for(2_000)
    expect(row(page, "first")).to_contain_text("Completed")


@pytest.mark.parametrize("path", [LIST, "/hubs/default/", "/hubs/default/i/first/", "/approvals/"])
def test_a_hidden_page_asks_nothing_and_catches_up(people, open_page, path):
    instance = scenes.add(timezone.now(), "first")
    page = open_page("admin", path)
    page.clock.install()
    page.reload()
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    show(page, hidden=True)
    Instance.objects.filter(pk=instance.pk).update(status="Completed", last_updated_at=timezone.now())

    page.clock.run_for(30_000)
    assert asked == []
    with page.expect_request(lambda request: "tick/" in request.url):
        show(page, hidden=False)
        page.clock.run_for(100)


def show(page: Page, *, hidden: bool) -> None:
    """What happens when another window of the browser is looked at, or this one again."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_page_asks_less_often_only_after_ten_minutes_without_a_touch(people, open_page):
    scenes.add(timezone.now(), "first")
    page = open_page("admin", LIST)
    page.clock.install()
    page.reload()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/tick/" in request.url else None)

    def seconds_between_ticks() -> int:
        """By the page's clock, which runs by hand: each second, what was asked is answered, and the next is planned."""
        asked.clear()
        moments = []
        for second in range(70):
            page.clock.run_for(1_000)
            page.evaluate("async () => { await fetch('/healthz'); await fetch('/healthz'); }")
            if len(asked) > len(moments):
                moments.append(second)
            if len(moments) == 2:
                break
        return moments[1] - moments[0]

    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    page.mouse.move(5, 5)
    page.clock.fast_forward(9 * 60 * 1_000)
    assert seconds_between_ticks() <= 6
    page.clock.fast_forward(60 * 1_000)
    assert seconds_between_ticks() >= 25
    page.mouse.move(15, 15)
    assert seconds_between_ticks() <= 6


def test_changes_that_come_soon_after_each_other_are_told_in_one_count(people, open_page):
    for number in range(3):
        scenes.add(timezone.now(), f"order-{number}")
    page = open_page("admin", LIST)
    said = page.evaluate_handle("""() => {
      const said = [];
      const box = document.getElementById("announcer");
      new MutationObserver(() => said.push(box.textContent)).observe(box, { childList: true });
      return said;
    }""")

    for number in range(3):
        name = f"order-{number}"
        Instance.objects.filter(instance_id=name).update(status="Completed", last_updated_at=timezone.now())
        page.evaluate("htmx.trigger(document.body, 'dash:instances')")
        expect(row(page, name)).to_contain_text("Completed")

    page.wait_for_function("(said) => said.length > 1", arg=said)
    assert said.json_value() == ["1 instance changed", "2 instances changed"]


def test_filtering_keeps_the_address_and_going_back_restores_it(site, open_page):
    page = open_page("admin", LIST)
    page.get_by_label("Query").fill("id:clm*")
    page.get_by_label("Query").press("Enter")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=id%3Aclm"))

    page.get_by_role("link", name="clm-1B09").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("clm-1B09")
    page.go_back()

    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.get_by_label("Query")).to_have_value("id:clm*")


def test_everything_works_without_javascript(people, engine, open_page, eventually):
    instance_id = OrchestrationClient().start_new(settle_expense, client_input=EXPENSE)
    eventually(lambda: Instance.objects.get().waiting_for)
    page = open_page("admin", f"{LIST}?status=waiting", javascript=False)
    page.get_by_role("link", name=instance_id).click()
    page.get_by_role("link", name="Suspend…").click()
    page.get_by_label("Reason").fill("vendor outage")
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("Suspension is requested.")).to_be_visible()
    eventually(lambda: Instance.objects.get().status == "Suspended")
    OrchestrationClient().resume(instance_id)
    eventually(lambda: Instance.objects.get().status == "Running")

    page.get_by_role("link", name="Approvals").click()
    page.get_by_role("link", name="Pay 41.00 EUR to Dana?").click()
    page.get_by_label("Approve").check()
    page.get_by_role("button", name="Send decision").click()
    expect(page.get_by_role("button", name="Send decision")).to_have_count(0)
    eventually(lambda: Instance.objects.get().status == "Completed")
    page.reload()
    expect(page.locator("#state")).to_contain_text("admin approved this")
