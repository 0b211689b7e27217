"""Questions to people in every state that a page can show."""

from __future__ import annotations

import json
from datetime import timedelta

from django.utils import timezone

from orchestrations.core.human import Approval
from orchestrations.models import HumanTask
from tests.asking import OrderApproval, Refund, ask, closed, say, vote
from tests.e2e import scenes


def build() -> dict[str, HumanTask]:
    """Questions in every state; the people and groups are those of the scenes."""
    reject = json.dumps({"decision": "reject"})
    open_ = ask(
        "ord-7F3A-0101", "Approve order ord-7F3A-0101 for 1,840.00 EUR", quorum_approve=2, approvals=1,
        state="partly_answered", on_timeout=reject, priority=2, exclude=("kim",),
        description="The order is above the limit of this customer.\n\nTheir last three invoices were paid late.",
    )  # fmt: skip
    vote(open_, "dana", "approve", "They always pay in the end.")
    say(open_, "dana", "I have asked their accountant.")
    say(open_, "kim", "Thank you!")
    refund = ask("ref-0102", "Refund 3 articles to Acme GmbH?", form=Refund, due_in=timedelta(days=2), users=("admin",))
    plain = ask(
        "ob-553", "Let Sam start on Monday?", form=Approval, due_in=None, groups=(), asked_ago=timedelta(days=2)
    )
    overdue = ask("ord-7F3A-0103", "Approve order ord-7F3A-0103", due_in=-timedelta(minutes=4), on_timeout=reject)
    mine = ask("ord-7F3A-0104", "Approve your own order ord-7F3A-0104", exclude=("admin",))
    stored = ask("clm-1B77", "Accept claim clm-1B77?", form=OrderApproval)
    HumanTask.objects.filter(pk=stored.pk).update(form="claims.human.Gone", schema=_moved(stored, "claims.human.Gone"))
    suspended = ask(
        scenes.add(timezone.now(), "ob-554", "onboard", status="Suspended"), "Buy Sam a chair?", groups=(), due_in=None
    )
    answered = closed(
        "Approve order ord-7F3A-0105", "ord-7F3A-0105", "answered", timedelta(minutes=2), answered_by="dana",
        outcome="reject", rejections=1,
    )  # fmt: skip
    vote(answered, "dana", "reject", "They owe us for two orders already.", timedelta(minutes=2))
    expired = closed("Approve order ord-7F3A-0106", "ord-7F3A-0106", "expired", timedelta(minutes=9), on_timeout=reject)
    closed("Approve order ord-7F3A-0107", "ord-7F3A-0107", "withdrawn", timedelta(hours=9))
    return {
        "open": open_, "refund": refund, "plain": plain, "overdue": overdue, "mine": mine, "stored": stored,
        "suspended": suspended, "answered": answered, "expired": expired,
    }  # fmt: skip


def _moved(task: HumanTask, path: str) -> str:
    return json.dumps({**json.loads(task.schema), "path": path})
