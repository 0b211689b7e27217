"""What a person may do to an instance, in the words of the page: the act, its effect, and what must be typed first.

Which statuses allow it and who may is not decided here: see ``orchestrations.access.permissions``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from orchestrations.access.permissions import Action, legal_actions
from orchestrations.core.status import RuntimeStatus


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
    preposition: str = ""
    """What joins the label to what it is done to, where that is not its object."""

    @property
    def label_before_target(self) -> str:
        """The label as it stands before an id or a number of instances: ``Terminate``, ``Change tags of``."""
        return f"{self.label} {self.preposition}".rstrip()

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
    preposition="for",
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
    "A new instance of the same orchestrator starts with the input that this one was first started with, under a new "
    "id. This one stays as it is.",
)
FORK = Verb(
    Action.FORK,
    "fork",
    "Re-run from here",
    "A new instance goes on from that step.",
    "A new instance goes on from this step under a new id, and its page opens. This one stays as it is.",
    preposition="in",
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

TAGS = Verb(
    Action.SET_TAGS,
    "tags",
    "Change tags",
    "The tags are changed.",
    "An orchestrator that runs goes on seeing the tags with which it began.",
    preposition="of",
)
RETRY_NOW = Verb(
    Action.RETRY_NOW,
    "retry-now",
    "Retry now",
    "The next attempt is made now.",
    "The next attempt is made now instead of at its time. It counts like any other.",
    preposition="in",
)
SKIP_TIMER = Verb(
    Action.SKIP_TIMER,
    "skip-timer",
    "Skip the timer",
    "The timer fires now.",
    "The timer fires now instead of at its time, and the orchestrator goes on. If it is the deadline of a wait, that "
    "wait times out.",
    preposition="of",
)
COMPLETE = Verb(
    Action.COMPLETE_TASK,
    "complete-task",
    "Complete by hand",
    "The result is on its way.",
    "The activity counts as completed with the result that you give. If it runs now, nobody takes its own result.",
    needs_reason=True,
    is_dangerous=True,
    preposition="in",
)

BUTTONS = (RAISE, RESUME, SUSPEND, REWIND, RESTART, TAGS, TERMINATE, PURGE)
TASK_VERBS = (RETRY_NOW, SKIP_TIMER, COMPLETE)
VERBS = {verb.slug: verb for verb in (*BUTTONS, FORK, *TASK_VERBS)}
WAITS_OF = {
    RETRY_NOW: frozenset({"Retry"}),
    SKIP_TIMER: frozenset({"Timer"}),
    COMPLETE: frozenset({"Activity", "Retry"}),
}
"""The kinds of waits that an act on one task is for."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A button: an act that is legal in the instance's status. ``missing`` is the permission that the reader lacks."""

    verb: Verb
    missing: str = ""


def offered(status: str, actions: Collection[Action]) -> list[Offer]:
    """The buttons of an instance of that status, in order, for somebody who may do ``actions`` to it.

    Starting again is offered once an instance has ended.
    """
    is_live = not RuntimeStatus(status).is_terminal
    legal = legal_actions(status)
    shown = [verb for verb in BUTTONS if verb.action in legal and not (verb is RESTART and is_live)]
    return [Offer(verb, "" if verb.action in actions else verb.action.permission) for verb in shown]


def task_verbs(kind: str, actions: Collection[Action]) -> list[Verb]:
    """The acts for a wait of that kind, for somebody who may do ``actions``."""
    return [verb for verb in TASK_VERBS if kind in WAITS_OF[verb] and verb.action in actions]
