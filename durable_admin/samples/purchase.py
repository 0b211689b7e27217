"""Four eyes: two people approve a purchase by a form, and the one who wants it is not among them.

The question has a deadline and a reminder; without an answer the purchase is declined. Compare ``approval``, which asks
for a bare verdict and reminds people by itself.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms

from orchestrations import HumanAnswer, HumanForm, OrchestrationContext, Quorum, Reviewers, activity, orchestrator


@dataclass(frozen=True)
class Purchase:
    """What somebody wants for the team."""

    item: str
    price: Decimal
    requested_by: str
    answer_within: timedelta = timedelta(days=2)


@dataclass(frozen=True)
class Bought:
    """What became of it."""

    bought: bool
    price: Decimal | None
    decided_by: list[str]
    reason: str


class PurchaseForm(HumanForm):
    """A verdict, and at which price at most."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    price_limit = forms.DecimalField(label="Price at most (EUR)", min_value=0, max_value=5000, required=False)
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)

    class Human:
        outcome = "decision"
        bulk = True

    def clean(self) -> dict[str, Any]:
        """A rejection says why."""
        typed: dict[str, Any] = super().clean() or {}
        if typed.get("decision") == "reject" and not typed.get("reason"):
            self.add_error("reason", "Say why you reject it.")
        return typed


@activity
def place_order(purchase: Purchase) -> Decimal:
    """Order it, and return what it cost."""
    return purchase.price


@orchestrator
def buy_for_team(context: OrchestrationContext, purchase: Purchase) -> Generator[Any, Any, Bought]:
    """Buy it if two people approve and nobody rejects."""
    answer: HumanAnswer = yield context.wait_for_external_event(
        "purchase",
        form=PurchaseForm,
        title=f"Buy {purchase.item} for {purchase.price} EUR?",
        description="Two people decide. The one who asks does not.",
        summary={"Item": purchase.item, "Price": f"{purchase.price} EUR", "Requested by": purchase.requested_by},
        initial={"price_limit": str(purchase.price)},
        assign=Reviewers(exclude=[purchase.requested_by]),
        quorum=Quorum(approve=2, reject=1),
        due=purchase.answer_within,
        remind=[purchase.answer_within / 2],
        on_timeout={"decision": "reject", "reason": "Nobody answered in time."},
    )
    people = [vote.by for vote in answer.votes]
    limit = answer.data["price_limit"]
    if not answer.approved or (limit is not None and purchase.price > limit):
        reason = answer.data["reason"] or "It costs more than it may."
        return Bought(bought=False, price=None, decided_by=people, reason=reason)
    price = yield context.call_activity(place_order, purchase)
    return Bought(bought=True, price=price, decided_by=people, reason=answer.comment)
