"""Any orchestrator, forked at any row: it ends as the original did, and what had ended by then is not done again."""

from __future__ import annotations

from collections import Counter
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrations.core.actions import CreateSubOrchestration, ScheduleTask
from orchestrations.core.events import EventType
from orchestrations.core.status import RuntimeStatus
from tests.core.cases import output, unnamed
from tests.core.forking import FORK, fork_driver
from tests.core.programs import Steps, World, rows
from tests.core.test_any_rewind import BUGS, CULPRITS, REWINDS, SLOW, Life, fan_outs, handled, safe
from tests.core.test_any_rewind import programs as fragile_programs

programs = st.recursive(
    safe | handled | fan_outs,
    lambda inner: st.builds(Steps, st.lists(inner, min_size=1, max_size=4).map(tuple)),
    max_leaves=10,
)
ENDS = {EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED}


def forked(life: Life, program, step: int, name: str = FORK) -> tuple[Life, set[tuple[int, int]]]:
    """The life of the fork from that step, and which attempts had ended by then."""
    fork = Life(program, life.broken, life.choose)
    kept = [event for event in life.driver.history if event.sequence < step]
    driver, _ = fork_driver(life.driver, step, fork.driver.definition.function, name=name)
    fork.driver, fork.world = driver, World(driver)
    raised = (event.name.casefold() for event in kept if event.type is EventType.EVENT_RAISED)
    fork.world.numbers = dict(Counter(raised))
    return fork, {(event.task_id, event.attempt) for event in kept if event.type in ENDS}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.data())
def test_forked_anywhere_it_ends_as_the_original_and_does_nothing_again_that_had_ended(program, data):
    choose = lambda count: data.draw(st.integers(0, count - 1))  # noqa: E731
    life = Life(program, set(), choose)
    assert life.go_on() is RuntimeStatus.COMPLETED
    original = rows(life.driver.history)

    for name in (FORK, "fork of the fork"):
        step = 1 + choose(len(life.driver.history))
        fork, ended = forked(life, program, step, name)
        assert fork.go_on() is RuntimeStatus.COMPLETED

        assert unnamed(output(fork.driver)) == unnamed(output(life.driver))
        assert fork.seen == life.seen
        actions = [action for episode in fork.driver.episodes for action in episode.actions]
        begun = [a for a in actions if isinstance(a, ScheduleTask | CreateSubOrchestration)]
        assert not ended & {(action.task_id, action.attempt) for action in begun}
        assert all(a.instance_id.startswith(f"{name}:") for a in begun if isinstance(a, CreateSubOrchestration))
        fork.driver.reload()
        life, before = fork, rows(life.driver.history)
        assert before == original
        original = rows(life.driver.history)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fragile_programs, st.data())
def test_a_fork_of_what_fails_comes_to_the_same_end_once_mended_and_rewound(program, data):
    choose = lambda count: data.draw(st.integers(0, count - 1))  # noqa: E731
    untroubled = Life(program, set(), choose)
    assert untroubled.go_on() is RuntimeStatus.COMPLETED
    troubled = Life(program, {*CULPRITS, *SLOW, *BUGS}, choose)
    troubled.go_on()

    fork, _ = forked(troubled, program, 1 + choose(len(troubled.driver.history)))
    rewinds = count()
    while fork.go_on() is not RuntimeStatus.COMPLETED:
        assert next(rewinds) < REWINDS, f"it fails for ever: {program}"
        if fork.broken:
            fork.broken.discard(sorted(fork.broken)[choose(len(fork.broken))])
        fork.rewind()

    fork.driver.reload()
    assert fork.driver.execution.facts.instance_id == FORK
    assert unnamed(output(fork.driver)) == unnamed(output(untroubled.driver))
