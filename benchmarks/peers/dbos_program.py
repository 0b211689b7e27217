"""DBOS's side, run by the Python of its own virtual environment.

``local`` measures in the process that runs the workflows, which is DBOS's fastest; ``serve`` is a queue worker, and
``remote`` measures from a client in another process, over that queue.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSClient

from benchmarks.peers import dbos_functions as functions
from benchmarks.protocol import await_go, report
from benchmarks.workloads import FULL, QUICK, STEPS, Sizes, Workload, chain_key, fan_out_key, pauses, quantiles

Figures = dict[str, float]

QUEUE = "bench"
LISTENER_SECONDS = 0.002
"""Between two looks for messages, where nothing notifies and the workers and the client are one process."""

POLL_SECONDS = 0.005
"""Of queues, messages and results between processes, where DBOS's default is a second; shorter is no faster."""

SQLITE_THREADS = 2
"""Faster than the default pool: SQLite has one writer anyway."""

SETTLE_SECONDS = 1.0
WARM_UP = 20
TIMER_SETUP_PER_SECOND = 150
"""Workflows that surely reach their sleep in a second; the sleeps end after that."""

MILLISECONDS = 1_000


def launch(url: str, listener_seconds: float | None) -> None:
    """Start DBOS in this process; None leaves DBOS's own polling interval."""
    config: dict[str, Any] = {
        "name": "bench",
        "system_database_url": url,
        "application_version": "1",
        "log_level": "ERROR",
    }
    if listener_seconds is not None:
        config["notification_listener_polling_interval_sec"] = listener_seconds
    if url.startswith("sqlite"):
        config["max_executor_threads"] = SQLITE_THREADS
    DBOS(config=config)
    DBOS.launch()


# In process ----------------------------------------------------------------------------------------------------------


def throughput(sizes: Sizes, count: int) -> Figures:
    """When the first workflow started and the last ended; several processes may share the count."""
    began = time.time()
    handles = [DBOS.start_workflow(functions.three_steps, number) for number in range(count)]
    check([handle.get_result() for handle in handles], [number + STEPS for number in range(count)])
    return {"began_at": began, "ended_at": time.time()}


def fan_out(sizes: Sizes, count: int) -> Figures:
    """Start to result of each fan-out."""
    return {
        fan_out_key(width): timed(partial(_run_fan_out, width), width * (width + 1) // 2) for width in sizes.fan_outs
    }


def _run_fan_out(width: int) -> int:
    return int(asyncio.run(functions.fan_out(width)))


def chain(sizes: Sizes, count: int) -> Figures:
    """Start to result of each chain."""
    return {chain_key(length): timed(partial(functions.chain, length), length) for length in sizes.chains}


def latency(sizes: Sizes, count: int) -> Figures:
    """Start to result of one step, on an idle system."""
    samples = []
    for number, pause in enumerate(pauses(sizes.samples)):
        time.sleep(pause)
        samples.append(timed(partial(_start_and_wait, number), number + 1) * MILLISECONDS)
    return quantiles("latency", samples, 50, 95)


def event(sizes: Sizes, count: int) -> Figures:
    """Sent message to result, on an idle system; one workflow waits at a time."""
    samples = []
    for pause in pauses(sizes.samples):
        handle = DBOS.start_workflow(functions.wait_for_go)
        time.sleep(pause)
        samples.append(timed(partial(_send_and_wait, handle), 1) * MILLISECONDS)
    return quantiles("event", samples, 50, 95)


def _start_and_wait(number: int) -> Any:
    return DBOS.start_workflow(functions.one_step, number).get_result()


def _send_and_wait(handle: Any) -> Any:
    DBOS.send(handle.workflow_id, 1, topic=functions.TOPIC)
    return handle.get_result()


def timers(sizes: Sizes, count: int) -> Figures:
    """How late the code goes on after sleeps that all end at the same moment, and when the last workflow ends."""
    return asyncio.run(_timers(sizes.timers))


async def _timers(count: int) -> Figures:
    due = time.time() + 5 + count / TIMER_SETUP_PER_SECOND
    handles = [await DBOS.start_workflow_async(functions.sleep_until, due) for _ in range(count)]
    if time.time() > due:
        raise RuntimeError("The timers were due before all of them were set.")
    late = [await handle.get_result() * MILLISECONDS for handle in handles]
    return {**quantiles("timers", late, 50, 99), "timers_drain": time.time() - due}


# From another process ------------------------------------------------------------------------------------------------


class Remote:
    """A client that enqueues workflows by name for the workers in other processes."""

    def __init__(self, url: str) -> None:
        self.client = DBOSClient(system_database_url=url)
        self.engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        schema = "" if url.startswith("sqlite") else "dbos."
        self.live = sqlalchemy.text(
            f"SELECT count(*) FROM {schema}workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"  # noqa: S608
        )

    def start(self, workflow: Callable[..., Any], *arguments: Any) -> Any:
        """Enqueue one workflow and return its handle."""
        return self.client.enqueue({"queue_name": QUEUE, "workflow_name": workflow.__qualname__}, *arguments)

    def result(self, handle: Any) -> Any:
        """Wait for the result, polling as often as is good for latency."""
        return handle.get_result(polling_interval_sec=POLL_SECONDS)

    def throughput(self, sizes: Sizes) -> Figures:
        """First enqueue to last completion."""
        began = time.time()
        handles = [self.start(functions.three_steps, number) for number in range(sizes.orchestrations)]
        while self._live():
            time.sleep(POLL_SECONDS)
        ended = time.time()
        check([self.result(handle) for handle in handles], [number + STEPS for number in range(sizes.orchestrations)])
        return {"began_at": began, "ended_at": ended}

    def _start_and_wait(self, number: int) -> Any:
        return self.result(self.start(functions.one_step, number))

    def _send_and_wait(self, handle: Any) -> Any:
        self.client.send(handle.workflow_id, 1, topic=functions.TOPIC)
        return self.result(handle)

    def _live(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(self.live).scalar_one())

    def latency(self, sizes: Sizes) -> Figures:
        """Enqueue to result of one step, on an idle system."""
        samples = []
        for number, pause in enumerate(pauses(sizes.samples)):
            time.sleep(pause)
            samples.append(timed(partial(self._start_and_wait, number), number + 1) * MILLISECONDS)
        return quantiles("latency", samples, 50, 95)

    def event(self, sizes: Sizes) -> Figures:
        """Sent message to result, on an idle system; one workflow waits at a time."""
        samples = []
        for pause in pauses(sizes.samples):
            handle = self.start(functions.wait_for_go)
            time.sleep(SETTLE_SECONDS / 4 + pause)
            samples.append(timed(partial(self._send_and_wait, handle), 1) * MILLISECONDS)
        return quantiles("event", samples, 50, 95)


def timed(run: Callable[[], object], expected: object) -> float:
    """Seconds that ``run`` takes; its outcome must be the expected one."""
    began = time.perf_counter()
    outcome = run()
    seconds = time.perf_counter() - began
    check(outcome, expected)
    return seconds


def check(outcome: object, expected: object) -> None:
    """Make sure that fast is also right."""
    if outcome != expected:
        raise RuntimeError(f"The outcome was {outcome!r}, not {expected!r}.")


LOCAL: dict[str, Callable[[Sizes, int], Figures]] = {
    Workload.THROUGHPUT: throughput,
    Workload.FANOUT: fan_out,
    Workload.CHAIN: chain,
    Workload.LATENCY: latency,
    Workload.EVENT: event,
    Workload.TIMERS: timers,
}
REMOTE: dict[str, Callable[[Remote, Sizes], Figures]] = {
    Workload.THROUGHPUT: Remote.throughput,
    Workload.LATENCY: Remote.latency,
    Workload.EVENT: Remote.event,
}


def local(arguments: argparse.Namespace, sizes: Sizes) -> None:
    """Measure in this process."""
    launch(arguments.url, LISTENER_SECONDS)
    for number in range(WARM_UP):
        DBOS.start_workflow(functions.three_steps, number).get_result()
    await_go()
    report(LOCAL[arguments.workload](sizes, arguments.count))


def serve(arguments: argparse.Namespace, sizes: Sizes) -> None:
    """Work on the queue until the harness closes the pipe; for the idle workload with DBOS's own intervals."""
    if arguments.workload == Workload.IDLE:
        launch(arguments.url, None)
        DBOS.register_queue(QUEUE)
    else:
        launch(arguments.url, POLL_SECONDS)
        DBOS.register_queue(QUEUE, polling_interval_sec=POLL_SECONDS)
    time.sleep(SETTLE_SECONDS)
    await_go()
    sys.stdin.read()


def remote(arguments: argparse.Namespace, sizes: Sizes) -> None:
    """Measure from outside of the workers."""
    client = Remote(arguments.url)
    for number in range(WARM_UP):
        client.result(client.start(functions.three_steps, number))
    await_go()
    report(REMOTE[arguments.workload](client, sizes))


def main() -> None:
    """Run one mode for one workload."""
    modes = {"local": local, "serve": serve, "remote": remote}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=sorted(modes))
    parser.add_argument("workload")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, default=0, help="this process's share of the orchestrations")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    modes[arguments.mode](arguments, QUICK if arguments.quick else FULL)
    sys.stdout.flush()
    DBOS.destroy()


if __name__ == "__main__":
    main()
