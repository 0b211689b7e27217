"""Asking people: from what an orchestrator passes to a wait that is a question, and from its event to the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrations.core.event_waits import deadline_at, deadline_in, wait_for_external_event
from orchestrations.core.events import HistoryEvent
from orchestrations.core.human import (
    RAISE,
    REJECT,
    Approval,
    HumanTimeout,
    Question,
    Quorum,
    Reviewers,
    check,
    stamped,
    verdict_in,
)
from orchestrations.core.tasks import Deadline, ExternalEventTask

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution

TITLE_LENGTH = 300
LATE = "timeout"


@dataclass(frozen=True, slots=True)
class Timeout:
    """What ``timeout`` and ``default`` of a wait say; ``has_default`` tells a default of None from none."""

    after: timedelta | float | None = None
    default: Any = None
    has_default: bool = False

    def deadline(self, execution: Execution) -> Deadline | None:
        """The moment at which the wait ends."""
        if self.after is None:
            return None
        return deadline_in(execution, self.after, self.default, self.has_default)


def ask_for_verdict(
    execution: Execution, name: str, data_type: object, timeout: Timeout, title: str, shown: Mapping[str, Any]
) -> ExternalEventTask:
    """A question for a bare verdict: whoever is asked approves or rejects, with a comment."""
    assign = Reviewers(groups=shown.get("groups") or (), permission=shown.get("permission"))
    form = execution.functions.describe_form(Approval)
    question = Question(
        title=one_line(title), summary=_texts(shown.get("summary")), form=form, assign=assign, is_plain=True
    )
    return wait_for_external_event(execution, name, data_type, timeout.deadline(execution), check(question, None))


def ask(
    execution: Execution,
    name: str,
    data_type: object,
    timeout: Timeout,
    shown: Mapping[str, Any],
    asked: dict[str, Any],
) -> ExternalEventTask:
    """A question with a form, whose answer is a HumanAnswer. Raises ValueError or TypeError for what can be none.

    ``shown`` has the arguments that a bare verdict takes as well, ``asked`` the others that were given.
    """
    declared = asked.get("form") or data_type or Approval
    subject = f"the answer to {name!r}"
    form = execution.functions.describe_form(declared)
    deadline = _deadline(execution, timeout, asked)
    question = _question(name, shown, asked, form)
    question = replace(question, initial=execution.functions.encode(asked.get("initial"), f"{subject}: initial"))
    if deadline is not None:
        deadline = replace(deadline, error=HumanTimeout)
        given = _default(timeout, asked)
        if given is not RAISE:
            text = execution.functions.encode(given, f"{subject}: on_timeout")
            question = replace(question, on_timeout=text)
            deadline = replace(deadline, value=_late(execution, declared, text, question, deadline), has_value=True)
    elif "on_timeout" in asked or timeout.has_default:
        raise ValueError("on_timeout says what happens when the time is over, and there is no end. Pass due=.")
    check(question, deadline.timeout if deadline is not None else None)

    def decode(event: HistoryEvent) -> Any:
        data = execution.functions.decode_answer(declared, event.payload, subject)
        stamps = event.attributes.get("answer") or {"by": event.attributes.get("by")}
        return stamped(data, _value_of(event.payload), question, stamps, event.timestamp)

    return wait_for_external_event(execution, name, None, deadline, question, decode)


def one_line(text: str) -> str:
    """The text as one line of printable characters, not too long for a title."""
    return "".join(character if character.isprintable() else " " for character in text)[:TITLE_LENGTH]


def _question(name: str, shown: Mapping[str, Any], asked: Mapping[str, Any], form: Mapping[str, Any]) -> Question:
    return Question(
        title=one_line(str(shown.get("title") or name)),
        description=str(asked.get("description") or ""),
        summary=_texts(shown.get("summary")),
        form=form,
        assign=_reviewers(shown, asked.get("assign")),
        quorum=_of_type(asked.get("quorum"), Quorum, "quorum") or Quorum(),
        remind=_moments("remind", asked.get("remind") or ()),
        escalate=_of_type(asked.get("escalate"), Reviewers, "escalate"),
        escalate_after=_moment("escalate_after", asked.get("escalate_after")),
        notify=_channels(asked.get("notify")),
        priority=int(asked.get("priority") or 0),
        undo=_moment("undo", asked.get("undo")) or timedelta(),
    )


def _deadline(execution: Execution, timeout: Timeout, asked: Mapping[str, Any]) -> Deadline | None:
    due: datetime | timedelta | float | None = asked.get("due")
    if due is not None and timeout.after is not None:
        raise ValueError("due and timeout both say when the question ends. Pass due alone.")
    due = timeout.after if due is None else due
    return None if due is None else deadline_at(execution, due)


def _default(timeout: Timeout, asked: Mapping[str, Any]) -> Any:
    if timeout.has_default and "on_timeout" in asked:
        raise ValueError("on_timeout and default both say what happens when the time is over. Pass on_timeout alone.")
    return timeout.default if timeout.has_default else asked.get("on_timeout", RAISE)


def _late(execution: Execution, declared: object, text: str | None, question: Question, deadline: Deadline) -> Any:
    """The answer that the deadline gives. A default that the form would not let through is refused now."""
    data = execution.functions.decode_answer(declared, text, "on_timeout")
    outcome = verdict_in(_value_of(text), question.form)
    stamps = {"outcome": outcome, "counts_as": question.quorum.counts_as(outcome) if outcome else REJECT, "via": LATE}
    return stamped(data, None, question, stamps, deadline.due_at)


def _value_of(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _reviewers(shown: Mapping[str, Any], assign: object) -> Reviewers:
    groups, permission = shown.get("groups") or (), shown.get("permission")
    if assign is None:
        return Reviewers(groups=groups, permission=permission)
    if groups or permission:
        raise ValueError("groups and permission say who is asked, and so does assign. Pass assign alone.")
    return _of_type(assign, Reviewers, "assign") or Reviewers()


def _of_type(value: Any, kind: type[Any], name: str) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} was given {value!r:.80}. Pass {kind.__name__}(...).")
    return value


def _texts(shown: Mapping[str, object] | None) -> dict[str, str]:
    return {str(label): str(value) for label, value in (shown or {}).items()}


def _moments(name: str, given: Iterable[object]) -> tuple[timedelta, ...]:
    moments = (_moment(name, one) for one in ([given] if isinstance(given, timedelta) else given))
    return tuple(sorted(one for one in moments if one is not None))


def _moment(name: str, given: object) -> timedelta | None:
    if given is None or isinstance(given, timedelta):
        return given
    if isinstance(given, int | float) and not isinstance(given, bool):
        try:
            return timedelta(seconds=given)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{name} was given {given!r:.80} seconds. Pass fewer, or a timedelta.") from error
    raise TypeError(f"{name} was given {given!r:.80}. Pass a timedelta or seconds.")


def _channels(given: Any) -> tuple[str, ...]:
    if given is None:
        return ("inbox",)
    if isinstance(given, str) or not all(isinstance(channel, str) and channel for channel in given):
        raise TypeError(f'notify was given {given!r:.80}. Pass a list of channels, as in notify=["inbox", "email"].')
    return tuple(dict.fromkeys(given))
