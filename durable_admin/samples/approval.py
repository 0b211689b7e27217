"""Human interaction: ask a person, remind them, and decide without them when the time is over.

The wait has a title, so the dashboard lists it under Approvals with an Approve and a Reject button. The answer is an
ordinary external event; the management API can raise it as well.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from orchestrations import OrchestrationContext, activity, orchestrator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expense:
    """What an employee wants back."""

    employee: str
    purpose: str
    amount: Decimal
    remind_every: timedelta = timedelta(days=1)
    answer_within: timedelta = timedelta(days=3)


@dataclass(frozen=True)
class Decision:
    """What the buttons of the dashboard send."""

    approved: bool
    comment: str = ""
    by: str = ""


@dataclass(frozen=True)
class Settlement:
    """What became of an expense."""

    paid: bool
    reason: str
    reminders: int


NOT_ANSWERED = Decision(approved=False, comment="Nobody answered in time.")


@activity
def remind_approvers(expense: Expense) -> None:
    """Remind the people who can answer; a real activity would send mail."""
    logger.info("Reminder: %s still waits for an answer about %s EUR.", expense.employee, expense.amount)


@activity
def pay_expense(expense: Expense) -> str:
    """Pay, and return the text of the transfer."""
    return f"{expense.amount} EUR to {expense.employee} for {expense.purpose}"


@orchestrator
def settle_expense(context: OrchestrationContext, expense: Expense) -> Generator[Any, Any, Settlement]:
    """Pay the expense if a person approves it in time. One wait lasts over all reminders, so no answer is lost."""
    answer = context.wait_for_external_event(
        "decision",
        data_type=Decision,
        timeout=expense.answer_within,
        default=NOT_ANSWERED,
        title=f"Pay {expense.amount} EUR to {expense.employee}?",
        summary={"Employee": expense.employee, "Purpose": expense.purpose, "Amount": f"{expense.amount} EUR"},
    )
    reminders = 0
    while not answer.is_completed:
        reminder = context.create_timer(expense.remind_every)
        winner = yield context.task_any([answer, reminder])
        if winner is reminder:
            reminders += 1
            yield context.call_activity(remind_approvers, expense)
        else:
            reminder.cancel()

    decision: Decision = answer.result
    if not decision.approved:
        return Settlement(paid=False, reason=decision.comment, reminders=reminders)
    transfer = yield context.call_activity(pay_expense, expense)
    return Settlement(paid=True, reason=transfer, reminders=reminders)
