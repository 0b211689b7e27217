"""A site that has the approvals alone: every page of theirs works, and there is no way from them to anything else."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import clear_url_caches

from orchestrations.models import HumanVote
from tests.asking import ask

YES = {"decision": "approve"}


@pytest.fixture
def alone(settings, approver) -> Client:
    settings.ROOT_URLCONF = "durable_admin.approval_urls"
    clear_url_caches()
    return approver


@pytest.fixture
def admin_alone(alone) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    return browser


def links(page: str) -> set[str]:
    return set(re.findall(r'(?:href|action|hx-get|hx-post|data-tick)="(/[^"#?]*)', page))


def test_an_approver_does_everything_there(alone):
    task = ask("one", "Pay 41 EUR?", groups=("approvers",))
    later = ask("two", "And this?", groups=("approvers",), due_in=timedelta(hours=9))

    assert alone.get("/")["Location"] == "/approvals/"
    assert "Pay 41 EUR?" in alone.get("/approvals/").text
    assert alone.post(f"/approvals/{task.pk}/comment/", {"text": "hm"}).status_code == 302
    assert alone.post(f"/approvals/{task.pk}/", {"decision": "reject"}).status_code == 422
    assert alone.post(f"/approvals/{task.pk}/", {**YES, "send": "next"})["Location"] == f"/approvals/{later.pk}/"
    assert alone.post(f"/approvals/{task.pk}/", YES).status_code == 409
    assert alone.get("/approvals/4711/").status_code == 404
    assert HumanVote.objects.count() == 1


def test_no_page_leads_to_operations_even_for_who_may_do_everything(admin_alone):
    task = ask("one", "Pay 41 EUR?", groups=("approvers",))
    pages = ["/approvals/", "/approvals/?tab=done", f"/approvals/{task.pk}/", f"/approvals/{task.pk}/do/delegate/"]

    found = set().union(*(links(admin_alone.get(page).text) for page in pages))

    assert not {link for link in found if not link.startswith(("/approvals/", "/static/", "/accounts/"))} - {"/"}
    for address in ("/hubs/default/instances/", "/admin/", "/api/", "/runtime/webhooks/durabletask/instances"):
        assert admin_alone.get(address).status_code == 404


def test_both_sites_have_the_same_addresses(alone, settings):
    task = ask("one", "Pay 41 EUR?", groups=("approvers",))
    here = links(alone.get(f"/approvals/{task.pk}/").text)
    settings.ROOT_URLCONF = "durable_admin.urls"
    clear_url_caches()

    assert here - {"/"} <= links(alone.get(f"/approvals/{task.pk}/").text)
