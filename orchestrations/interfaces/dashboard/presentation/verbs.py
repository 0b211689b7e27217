"""What a person may do to an instance, in the words of the page: the act, its effect, and what must be typed first.

Which statuses allow it and who may is not decided here: see ``orchestrations.permissions``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestrations.core.status import RuntimeStatus
from orchestrations.permissions import Action, legal_actions


@dataclass(frozen=True, slots=True)
class Verb:
    """One act. ``slug`` is its name in URLs, ``effect`` what will happen, ``done`` what to say afterwards."""

    action: Action
    slug: str
    label: str
    done: str
    effect: str
    needs_reason: bool = False
    is_dangerous: bool = False

    @property
    def allowed_words(self) -> str:
        """The statuses in which it is possible, in the order of the enumeration."""
        *others, last = [status.value for status in RuntimeStatus if self.action in legal_actions(status)]
        return f"{', '.join(others)} or {last}" if others else last


RAISE = Verb(
    Action.RAISE_EVENT,
    "raise",
    "Raise event",
    "The event is sent.",
    "Sends an external event to the instance. One that nothing waits for yet is kept until something does.",
)
SUSPEND = Verb(
    Action.SUSPEND,
    "suspend",
    "Suspend",
    "Suspension is requested.",
    "The orchestrator takes no further step until it is resumed. Activities that run now finish, and events are kept.",
)
RESUME = Verb(
    Action.RESUME,
    "resume",
    "Resume",
    "Resumption is requested.",
    "The orchestrator goes on, with everything that has arrived meanwhile.",
)
REWIND = Verb(
    Action.REWIND,
    "rewind",
    "Rewind",
    "The rewind is requested.",
    "What failed is tried again: failed activities and failed sub-orchestrations run once more, and everything that "
    "succeeded keeps its result.",
    needs_reason=True,
)
RESTART = Verb(
    Action.RESTART,
    "restart",
    "Start again",
    "A new instance is started.",
    "A new instance of the same orchestrator starts with the same input, under a new id. This one stays as it is.",
)
TERMINATE = Verb(
    Action.TERMINATE,
    "terminate",
    "Terminate",
    "Termination is requested.",
    "The orchestrator ends for good as Terminated, without running another line. Activities that run now are not "
    "interrupted, but their results are dropped.",
    needs_reason=True,
    is_dangerous=True,
)
PURGE = Verb(
    Action.PURGE,
    "purge",
    "Purge",
    "The instance is purged.",
    "The instance and its history are deleted for good. Only the audit trail remains.",
    needs_reason=True,
    is_dangerous=True,
)

VERBS = {verb.slug: verb for verb in (RAISE, RESUME, SUSPEND, REWIND, RESTART, TERMINATE, PURGE)}


def offered(status: str, actions: Collection[Action]) -> list[Verb]:
    """The verbs of these actions, in the order of the buttons. Starting again is offered once an instance has ended."""
    is_live = not RuntimeStatus(status).is_terminal
    return [verb for verb in VERBS.values() if verb.action in actions and not (verb is RESTART and is_live)]
