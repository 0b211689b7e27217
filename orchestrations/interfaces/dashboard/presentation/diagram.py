"""A sequence diagram of an instance's history: messages between participants, drawn with SVG attributes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from orchestrations.core.events import EventType
from orchestrations.interfaces.dashboard.presentation.spans import FAILED, KINDS, attributes
from orchestrations.models import HistoryEvent, Instance

CALLEES = 8  # with a column of their own; the rest share one
OTHERS = "others"
CLIENT = "client"
TIMERS = "timers"
COLUMN_WIDTH, LEFT, TOP, ROW_HEIGHT, BOX_HEIGHT = 150, 75, 16, 30, 28
NAME_CHARACTERS = 19
LABEL_CHARACTERS = 40
CHARACTER_WIDTH = 6.4  # of a label, about
UNSAFE = re.compile(r"[^\w .,()×/@-]")  # of a text that Mermaid would take for syntax

TO_CALLEE = {
    EventType.TASK_SCHEDULED: "call",
    EventType.SUB_ORCHESTRATION_CREATED: "start",
    EventType.ENTITY_CALLED: "call",
    EventType.ENTITY_SIGNALED: "signal",
    EventType.ENTITY_LOCK_REQUESTED: "lock",
    EventType.ENTITY_UNLOCK_SENT: "unlock",
    EventType.EVENT_SENT: "event",
}
FROM_CALLEE = {
    EventType.TASK_COMPLETED: "result",
    EventType.TASK_FAILED: "failure",
    EventType.SUB_ORCHESTRATION_COMPLETED: "result",
    EventType.SUB_ORCHESTRATION_FAILED: "failure",
    EventType.ENTITY_COMPLETED: "result",
    EventType.ENTITY_FAILED: "failure",
    EventType.ENTITY_LOCK_GRANTED: "granted",
}
FROM_CLIENT = {
    EventType.EXECUTION_STARTED: "start",
    EventType.EVENT_RAISED: "event",
    EventType.EXECUTION_SUSPENDED: "suspend",
    EventType.EXECUTION_RESUMED: "resume",
    EventType.EXECUTION_TERMINATED: "terminate",
    EventType.EXECUTION_REWOUND: "rewind",
    EventType.EXECUTION_FORKED: "fork",
}


@dataclass(frozen=True, slots=True)
class Message:
    """An arrow. ``count`` like ones in a row are one; ``source`` and ``target`` are participants' names."""

    source: str
    target: str
    text: str
    sequence: int
    last_sequence: int
    count: int = 1
    is_answer: bool = False
    is_failure: bool = False

    @property
    def label(self) -> str:
        """``result ×30``."""
        return f"{self.text} ×{self.count}" if self.count > 1 else self.text


@dataclass(frozen=True, slots=True)
class Participant:
    """A column with its lifeline."""

    name: str
    shown: str
    x: int
    box_x: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message's line, its head, and its words above it."""

    message: Message
    description: str
    x1: int
    x2: int
    y: int
    head: str
    text: str
    text_x: int
    text_y: int
    stripe_y: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """All that the template prints, in SVG user units."""

    width: int
    height: int
    participants: list[Participant]
    arrows: list[Arrow]
    life_top: int
    stripe_width: int
    row_height: int = ROW_HEIGHT
    box_y: int = TOP
    box_height: int = BOX_HEIGHT
    box_width: int = COLUMN_WIDTH - 14
    text_y: int = TOP + 18


def messages(instance: Instance, events: Iterable[HistoryEvent]) -> list[Message]:
    """The messages that history events tell of; like ones in a row are folded."""
    callees: dict[int | None, str] = {}
    told: list[Message] = []
    for event in events:
        message = _message(instance, event, callees)
        if message is None:
            continue
        if told and _is_alike(told[-1], message):
            told[-1] = replace(told[-1], count=told[-1].count + 1, last_sequence=message.sequence)
        else:
            told.append(message)
    return told


def draw(instance: Instance, told: Sequence[Message]) -> Diagram:
    """The picture; participants stand in the order in which they take part."""
    names = participants(instance, told)
    columns = {name: LEFT + index * COLUMN_WIDTH for index, name in enumerate(names)}
    life_top = TOP + BOX_HEIGHT
    shared = columns.get(OTHERS, LEFT)
    width = LEFT * 2 + COLUMN_WIDTH * (len(names) - 1)
    return Diagram(
        width=width,
        height=life_top + ROW_HEIGHT * len(told) + 24,
        participants=[
            Participant(name, _cut(name, NAME_CHARACTERS), x, x - (COLUMN_WIDTH - 14) // 2)
            for name, x in columns.items()
        ],
        arrows=[
            _arrow(message, columns.get(message.source, shared), columns.get(message.target, shared), index, life_top)
            for index, message in enumerate(told)
        ],
        life_top=life_top,
        stripe_width=width - 2,
    )


def participants(instance: Instance, told: Sequence[Message]) -> list[str]:
    """The columns' names: who asks, the orchestrator, and whom it calls; the last of many share a column."""
    callees: list[str] = []
    for message in told:
        for name in (message.source, message.target):
            if name not in (CLIENT, instance.name) and name not in callees:
                callees.append(name)
    if len(callees) > CALLEES:
        callees = [*callees[: CALLEES - 1], OTHERS]
    has_client = any(CLIENT in (message.source, message.target) for message in told)
    return [*([CLIENT] if has_client else []), instance.name, *callees]


def mermaid(instance: Instance, told: Sequence[Message]) -> str:
    """The same as the text of a Mermaid sequence diagram."""
    names = participants(instance, told)
    keys = {name: f"P{index}" for index, name in enumerate(names)}
    lines = ["sequenceDiagram", *(f"    participant {keys[name]} as {_safe(name)}" for name in names)]
    for message in told:
        source, target = (keys.get(name, keys.get(OTHERS, "P0")) for name in (message.source, message.target))
        arrow = "--x" if message.is_failure else "-->>" if message.is_answer else "->>"
        lines.append(f"    {source}{arrow}{target}: {_safe(message.label)}")
    return "\n".join(lines)


def _message(instance: Instance, event: HistoryEvent, callees: dict[int | None, str]) -> Message | None:
    kind = KINDS.get(event.type)
    own = instance.name
    at = (event.sequence, event.sequence)
    if kind in FROM_CLIENT:
        words = FROM_CLIENT[kind]
        return Message(CLIENT, own, f"{words} {event.name}" if kind is EventType.EVENT_RAISED else words, *at)
    if kind in TO_CALLEE:
        name = callees[event.task_id] = _callee(event)
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        named = kind in (EventType.EVENT_SENT, EventType.ENTITY_CALLED, EventType.ENTITY_SIGNALED)
        return Message(own, name, f"{TO_CALLEE[kind]}{f' {event.name}' if named else ''}{again}", *at)
    if kind in FROM_CALLEE:
        name = callees.get(event.task_id) or event.name or "task"
        return Message(name, own, FROM_CALLEE[kind], *at, is_answer=True, is_failure=kind in FAILED)
    if kind is EventType.TIMER_CREATED:
        return Message(own, TIMERS, f"wait{f' {event.name}' if event.name else ''}", *at)
    if kind is EventType.TIMER_FIRED:
        return Message(TIMERS, own, "fired", *at, is_answer=True)
    if kind is EventType.EXECUTION_COMPLETED:
        status = str(attributes(event).get("status") or "ended")
        return Message(own, CLIENT, status, *at, is_answer=True, is_failure=status == "Failed")
    return None


def _callee(event: HistoryEvent) -> str:
    told = attributes(event)
    if event.type in (EventType.ENTITY_CALLED, EventType.ENTITY_SIGNALED, EventType.EVENT_SENT):
        return str(told.get("instance_id") or "another instance")
    if event.type in (EventType.ENTITY_LOCK_REQUESTED, EventType.ENTITY_UNLOCK_SENT):
        entities = told.get("entities")
        return ", ".join(str(one) for one in entities) if isinstance(entities, list) else "entities"
    return event.name or "task"


def _is_alike(one: Message, other: Message) -> bool:
    return (one.source, one.target, one.text) == (other.source, other.target, other.text)


def _arrow(message: Message, x1: int, x2: int, index: int, life_top: int) -> Arrow:
    y = life_top + ROW_HEIGHT * index + 24
    direction = 1 if x2 >= x1 else -1
    tip = x2 - direction
    text = _cut(message.label, LABEL_CHARACTERS)
    half = len(text) * CHARACTER_WIDTH / 2
    return Arrow(
        message=message,
        description=f"{text}, from {message.source} to {message.target}",
        x1=x1,
        x2=x2,
        y=y,
        head=f"{tip},{y} {tip - 7 * direction},{y - 4} {tip - 7 * direction},{y + 4}",
        text=text,
        text_x=round(max((x1 + x2) / 2, half + 4)),
        text_y=y - 6,
        stripe_y=y - 20,
    )


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _safe(text: str) -> str:
    return UNSAFE.sub(" ", text).strip() or "?"
