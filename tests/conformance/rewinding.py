"""Orchestrators that fail in every way that a rewind must mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from orchestrations import OrchestrationContext, RetryOptions, orchestrator
from orchestrations.authoring.registry import registry
from tests.runtime.functions import gated, stage, work

with registry.preserved():

    @orchestrator
    def compensates(context: OrchestrationContext):
        booked = yield context.call_activity(work, "book")
        try:
            paid = yield context.call_activity(work, "pay")
        except Exception:
            context.set_custom_status("rolling back")
            yield context.call_activity(work, "cancel")
            raise
        return [booked, paid, context.custom_status]

    @orchestrator
    def handles_one_failure(context: OrchestrationContext):
        try:
            first = yield context.call_activity(work, "optional")
        except Exception:
            first = yield context.call_activity(work, "instead")
        return [first, (yield context.call_activity(work, "needed"))]

    @orchestrator
    def tree(context: OrchestrationContext, depth: int):
        """Two children at each level, and at the bottom an activity for each of two leaves."""
        if depth == 0:
            return (yield context.call_activity(work, context.instance_id))
        both = [context.call_sub_orchestrator(tree, depth - 1) for _ in range(2)]
        return (yield context.task_all(both))

    @orchestrator
    def retries_a_child(context: OrchestrationContext):
        options = RetryOptions(1, 2)
        return (yield context.call_sub_orchestrator_with_retry("calls", options, ["work", "a", "x"]))

    @orchestrator
    def beside_a_child(context: OrchestrationContext, child: list[object]):
        """Starts a child, [orchestrator, input], and looks at it only after an activity of its own."""
        name, value = child
        task = context.call_sub_orchestrator(str(name), value, instance_id="child")
        own = yield context.call_activity(work, "own")
        return [own, (yield task)]

    @orchestrator
    def beside_an_activity(context: OrchestrationContext):
        slow = context.call_activity(gated, "slow")
        own = yield context.call_activity(work, "own")
        return [own, (yield slow)]

    @orchestrator
    def counts_then_works(context: OrchestrationContext, number: int):
        """Fails, if it does, in its third generation."""
        if number < 3:
            context.continue_as_new(number + 1)
            return None
        return (yield context.call_activity(work, "third"))

    @orchestrator
    def listens(context: OrchestrationContext):
        """Takes an event before, while and after an activity is done."""
        first = yield context.wait_for_external_event("go")
        done = yield context.call_activity(work, "between")
        second = yield context.wait_for_external_event("go")
        third = yield context.wait_for_external_event("go")
        return [first, done, second, third]

    @orchestrator
    def listens_while_compensating(context: OrchestrationContext):
        try:
            yield context.call_activity(work, "x")
        except Exception:
            yield context.wait_for_external_event("go")
            raise
        return (yield context.wait_for_external_event("go"))

    @orchestrator
    def fails_at_once(context: OrchestrationContext):
        if not stage.mended:
            raise ValueError("a bug")
        return (yield context.wait_for_external_event("go"))

    @orchestrator
    def beside_timers(context: OrchestrationContext, moment: datetime):
        """A timer of a day, one for a moment, and a wait of a day, which all are open when the activity fails."""
        day = context.create_timer(timedelta(days=1))
        certain = context.create_timer(moment)
        wait = context.wait_for_external_event("go", timeout=timedelta(days=1), default="nothing")
        own = yield context.call_activity(work, "own")
        yield context.task_all([day, certain, wait])
        return own

    @orchestrator
    def deadline(context: OrchestrationContext):
        """Gives the activity an hour."""
        call = context.call_activity(work, "x")
        winner = yield context.task_any([call, context.create_timer(timedelta(hours=1))])
        return winner.result if winner is call else "too late"

    @orchestrator
    def waits_for_a_day(context: OrchestrationContext):
        try:
            return (yield context.wait_for_external_event("go", timeout=timedelta(days=1)))
        except TimeoutError:
            yield context.call_activity(work, "cancel")
            raise

    @orchestrator
    def tries_for_a_minute(context: OrchestrationContext):
        options = RetryOptions(1, 3, retry_timeout_in_milliseconds=60_000)
        return (yield context.call_activity_with_retry(work, options, "x"))

    @orchestrator
    def is_mended(context: OrchestrationContext):
        """Its code differs, once it is changed, before the place at which it failed."""
        if stage.changed:
            yield context.create_timer(timedelta())
        yield context.call_activity(work, "first")
        if not stage.mended:
            raise ValueError("a bug")
        return (yield context.call_activity(work, "second"))


FUNCTIONS = [value for value in list(globals().values()) if hasattr(value, "durable")]


@contextmanager
def registered() -> Iterator[None]:
    """Register them for the length of one test."""
    with registry.preserved():
        for function in FUNCTIONS:
            if function.durable.kind == "orchestrator" and not registry.has_orchestrator(function.durable.name):
                registry.add_orchestrator(function.durable)
        yield
