"""Django signals of what becomes of instances.

A receiver gets ``transition`` (a ``Transition``: its event, instance id, orchestrator's name, status, time, error, …);
``sender`` is the model ``Instance``. Signals are sent after the commit, in order, by a thread of the worker process
that made it, so a receiver that is slow, hangs or raises holds up no orchestration. They are sent at most once: a
worker that is killed, or that can't keep up by 10,000, sends some not at all. For at least once there are outgoing
webhooks and activities. Without receivers nothing is done for them.
"""

from __future__ import annotations

from django.dispatch import Signal

from orchestrations.core.lifecycle import LifecycleEvent, Transition

__all__ = [
    "LifecycleEvent",
    "Transition",
    "instance_completed",
    "instance_continued_as_new",
    "instance_failed",
    "instance_resumed",
    "instance_rewound",
    "instance_started",
    "instance_suspended",
    "instance_terminated",
    "instance_waiting_for_human",
]

instance_started = Signal()
instance_completed = Signal()
instance_failed = Signal()
instance_terminated = Signal()
instance_suspended = Signal()
instance_resumed = Signal()
instance_rewound = Signal()
instance_continued_as_new = Signal()
instance_waiting_for_human = Signal()

SIGNALS: dict[LifecycleEvent, Signal] = {
    LifecycleEvent.STARTED: instance_started,
    LifecycleEvent.COMPLETED: instance_completed,
    LifecycleEvent.FAILED: instance_failed,
    LifecycleEvent.TERMINATED: instance_terminated,
    LifecycleEvent.SUSPENDED: instance_suspended,
    LifecycleEvent.RESUMED: instance_resumed,
    LifecycleEvent.REWOUND: instance_rewound,
    LifecycleEvent.CONTINUED_AS_NEW: instance_continued_as_new,
    LifecycleEvent.WAITING_FOR_HUMAN: instance_waiting_for_human,
}


def heard_events() -> set[LifecycleEvent]:
    """The events for which somebody has connected a receiver."""
    return {event for event, signal in SIGNALS.items() if signal.receivers}
