"""Orchestrators that are forked in every way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from orchestrations import ActivityContext, EntityId, OrchestrationContext, activity, orchestrator
from orchestrations.authoring.registry import registry
from tests.runtime.functions import chain, stage, work

with registry.preserved():

    @activity
    def key(context: ActivityContext) -> str:
        return context.idempotency_key

    @orchestrator
    def knows_itself(context: OrchestrationContext):
        """Tells who it is before and after an activity, and the keys of its activities."""
        before = [context.instance_id, context.new_uuid(), context.current_utc_datetime.isoformat()]
        context.set_custom_status("begun")
        first = yield context.call_activity(key)
        after = [context.instance_id, context.new_uuid()]
        second = yield context.call_activity(key)
        return [before, first, after, second, context.custom_status]

    @orchestrator
    def has_children(context: OrchestrationContext):
        first = yield context.call_sub_orchestrator(chain, 1)
        second = yield context.call_sub_orchestrator(chain, 2, instance_id="second")
        third = yield context.call_activity(work, "third")
        return [first, second, third, context.parent_instance_id]

    @orchestrator
    def is_a_child(context: OrchestrationContext):
        before = context.parent_instance_id
        yield context.call_activity(work, "child")
        return [before, context.parent_instance_id]

    @orchestrator
    def has_a_child(context: OrchestrationContext):
        return (yield context.call_sub_orchestrator(is_a_child, instance_id="child"))

    @orchestrator
    def asks(context: OrchestrationContext):
        yield context.call_activity(work, "before")
        answer = yield context.wait_for_external_event("approve", title="May I?")
        return answer["approved"]

    @orchestrator
    def works_then_sleeps(context: OrchestrationContext):
        yield context.call_activity(work, "before")
        yield context.create_timer(timedelta(days=1))
        return "woken"

    @orchestrator
    def counts_up(context: OrchestrationContext, number: int):
        """Three generations, each of which takes an event and does some work."""
        told = yield context.wait_for_external_event("go")
        done = yield context.call_activity(work, f"{number}:{told}")
        context.set_custom_status(done)
        if number == 3:
            return [done, (yield context.call_sub_orchestrator(chain, 1))]
        context.continue_as_new(number + 1)
        return None

    @orchestrator
    def calls_an_entity(context: OrchestrationContext):
        yield context.call_activity(work, "before")
        return (yield context.call_entity(EntityId("counter", "a"), "get"))

    @orchestrator
    def versioned(context: OrchestrationContext):
        before = context.version
        yield context.call_activity(work, "before")
        name = "new" if context.version == "2" else "old"
        yield context.call_activity(work, name)
        return [before, context.version]

    @orchestrator
    def differs(context: OrchestrationContext):
        """Its first call differs once the code is changed."""
        yield context.call_activity(work, "other" if stage.changed else "first")
        if stage.changed:
            yield context.create_timer(timedelta())
        return (yield context.call_activity(work, "second"))


FUNCTIONS = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__]


@contextmanager
def registered() -> Iterator[None]:
    """Register them for the length of one test."""
    with registry.preserved():
        for function in FUNCTIONS:
            if hasattr(function, "durable"):
                add = registry.add_activity if function is key else registry.add_orchestrator
                add(function.durable)
        yield
