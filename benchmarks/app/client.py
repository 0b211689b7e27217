"""The client process: starts instances, waits for them, and reports figures.

It uses the client and the tables as any Django process would; the workers are other processes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import django

from benchmarks.protocol import await_go, report
from benchmarks.workloads import FULL, QUICK, STEPS, Sizes, Workload, chain_key, fan_out_key, pauses, quantiles

if TYPE_CHECKING:
    from orchestrations.client import OrchestrationClient

Figures = dict[str, float]

POLL_SECONDS = 0.01
"""Between two looks at whether all instances have ended: one indexed query."""

TIMEOUT_SECONDS = 300.0
WARM_UP = 20
TIMER_SETUP_PER_SECOND = 400
"""Instances that surely reach their timer in a second; the timers become due after that."""

MILLISECONDS = 1_000


class WrongOutcome(RuntimeError):
    """The workload ended otherwise than it must; its figures would be worthless."""


def throughput(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """First start to last completion, by single starts and by one bulk start."""
    from benchmarks.app.orchestrations import three_steps

    count = sizes.orchestrations
    began = time.perf_counter()
    ids = [client.start_new(three_steps, client_input=number) for number in range(count)]
    await_all_ended()
    one_by_one = time.perf_counter() - began
    check_outputs(ids, [number + STEPS for number in range(count)])

    began = time.perf_counter()
    ids = client.start_many(three_steps, list(range(count)))
    await_all_ended()
    bulk = time.perf_counter() - began
    check_outputs(ids, [number + STEPS for number in range(count)])
    return {"throughput": count / one_by_one, "throughput_bulk": count / bulk}


def fan_out(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """Start to result of each fan-out."""
    from benchmarks.app.orchestrations import fan_out as orchestrator

    return {
        fan_out_key(count): _seconds_to_result(client, orchestrator, count, count * (count + 1) // 2)
        for count in sizes.fan_outs
    }


def chain(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """Start to result of each chain."""
    from benchmarks.app.orchestrations import chain as orchestrator

    return {chain_key(count): _seconds_to_result(client, orchestrator, count, count) for count in sizes.chains}


def latency(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """Start to result of one activity, on an idle system."""
    from benchmarks.app.orchestrations import one_step

    samples = []
    for number, pause in enumerate(pauses(sizes.samples)):
        time.sleep(pause)
        samples.append(_seconds_to_result(client, one_step, number, number + 1) * MILLISECONDS)
    return quantiles("latency", samples, 50, 95)


def event(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """Raised event to result, on an idle system; every instance waits already."""
    from benchmarks.app.orchestrations import GO_EVENT, wait_for_go
    from orchestrations.models import OpenWait

    ids = client.start_many(wait_for_go, [None] * sizes.samples)
    await_condition(lambda: OpenWait.objects.count() == sizes.samples, "all instances wait for their event")
    samples = []
    for instance_id, pause in zip(ids, pauses(sizes.samples), strict=True):
        time.sleep(pause)
        began = time.perf_counter()
        client.raise_event(instance_id, GO_EVENT, 1)
        client.wait_for_completion(instance_id, timeout=timedelta(seconds=TIMEOUT_SECONDS))
        samples.append((time.perf_counter() - began) * MILLISECONDS)
    check_outputs(ids, [1] * sizes.samples)
    return quantiles("event", samples, 50, 95)


def timers(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """How late the code goes on after timers that are all due at the same moment, and when the last instance ends."""
    from benchmarks.app.orchestrations import sleep_until
    from orchestrations.models import Timer

    due = time.time() + 5 + sizes.timers / TIMER_SETUP_PER_SECOND
    ids = client.start_many(sleep_until, [due] * sizes.timers)
    pending = Timer.objects.filter(state=Timer.State.PENDING)
    await_condition(lambda: pending.count() == sizes.timers, "all timers are pending")
    if time.time() > due:
        raise WrongOutcome("The timers were due before all of them were set.")
    time.sleep(max(0.0, due - time.time()))
    await_all_ended()
    drained = time.time() - due
    late = [seconds * MILLISECONDS for seconds in outputs(ids)]
    return {**quantiles("timers", late, 50, 99), "timers_drain": drained}


def _seconds_to_result(client: OrchestrationClient, orchestrator: Callable[..., object], given: int, due: int) -> float:
    began = time.perf_counter()
    instance_id = client.start_new(orchestrator, client_input=given)
    client.wait_for_completion(instance_id, timeout=timedelta(seconds=TIMEOUT_SECONDS))
    seconds = time.perf_counter() - began
    check_outputs([instance_id], [due])
    return seconds


def await_all_ended() -> None:
    """Wait until no instance is live."""
    from orchestrations.conf import get_config
    from orchestrations.core.status import TERMINAL, RuntimeStatus
    from orchestrations.models import Instance

    living = [status.value for status in RuntimeStatus if status not in TERMINAL]
    live = Instance.objects.filter(hub=get_config().task_hub, status__in=living)
    await_condition(lambda: not live.exists(), "all instances have ended")


def await_condition(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds.

    Raises:
        WrongOutcome: it does not, within the time-out.
    """
    until = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise WrongOutcome(f"Not within {TIMEOUT_SECONDS:g} s: {what}.")
        time.sleep(POLL_SECONDS)


def outputs(ids: list[str]) -> list[float]:
    """What the instances returned, in the order of the ids; only completed ones have something."""
    from orchestrations.core.status import RuntimeStatus
    from orchestrations.models import Instance

    completed = Instance.objects.filter(status=RuntimeStatus.COMPLETED.value)
    wanted = set(ids)
    pairs = completed.values_list("instance_id", "output")
    found = {key: json.loads(text) for key, text in pairs if text is not None and key in wanted}
    if len(found) != len(wanted):
        raise WrongOutcome(f"{len(wanted) - len(found)} of {len(wanted)} instances did not complete.")
    return [found[instance_id] for instance_id in ids]


def check_outputs(ids: list[str], expected: list[int]) -> None:
    """Make sure that fast is also right.

    Raises:
        WrongOutcome: an instance did not complete, or with another output.
    """
    if outputs(ids) != expected:
        raise WrongOutcome("The instances completed with other outputs than they must.")


def warm_up(client: OrchestrationClient, sizes: Sizes) -> Figures:
    """Let the workers load the functions and open their connections."""
    from benchmarks.app.orchestrations import three_steps

    ids = client.start_many(three_steps, list(range(WARM_UP)))
    await_all_ended()
    check_outputs(ids, [number + STEPS for number in range(WARM_UP)])
    return {}


MEASURES: dict[str, Callable[[OrchestrationClient, Sizes], Figures]] = {
    Workload.THROUGHPUT: throughput,
    Workload.FANOUT: fan_out,
    Workload.CHAIN: chain,
    Workload.LATENCY: latency,
    Workload.EVENT: event,
    Workload.TIMERS: timers,
    "warm-up": warm_up,
}


def main() -> None:
    """Run one workload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=sorted(MEASURES))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    django.setup()

    from django.db import connection

    from orchestrations.client import OrchestrationClient

    connection.ensure_connection()
    client = OrchestrationClient()
    await_go()
    report(MEASURES[arguments.workload](client, QUICK if arguments.quick else FULL))


if __name__ == "__main__":
    main()
