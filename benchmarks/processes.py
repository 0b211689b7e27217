"""Starting, timing and stopping the processes that are measured. Knows nothing of what they do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from benchmarks import protocol

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30.0
"""How long a process may take to stop by itself before it is killed."""

WATCH_SECONDS = 0.2
LOG_TAIL_CHARACTERS = 2_000


class ProgramFailed(RuntimeError):
    """A measured process ended badly, or too late. The message has the end of what it wrote."""


Command = Sequence[str | Path]
Program = subprocess.Popen[str]


@contextmanager
def service(command: Command, environment: Mapping[str, str], log: Path, *, speaks: bool = True) -> Iterator[Program]:
    """Run the command in a process group of its own and stop all of it afterwards.

    Its errors go to ``log``; so does its output, unless it ``speaks`` the protocol.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        program = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if speaks else output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
        try:
            yield program
        finally:
            stop(program)


def stop(program: Program) -> None:
    """Ask the program to stop, kill it after ``STOP_SECONDS``, and kill what is left of its process group."""
    if program.poll() is None:
        program.terminate()
    try:
        program.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
    with suppress(ProcessLookupError):  # its children, if it left any
        os.killpg(program.pid, signal.SIGKILL)
    for pipe in (program.stdin, program.stdout):
        if pipe:
            pipe.close()


def await_ready(program: Program, log: Path, timeout_seconds: float = 60.0) -> None:
    """Wait until the program says that it is ready.

    Raises:
        ProgramFailed: it ended, or said nothing in time.
    """
    with _deadline(program, timeout_seconds):
        line = _read_line(program)
        while line and line.strip() != protocol.READY:
            line = _read_line(program)
    if not line:
        raise ProgramFailed(f"A program ended, or was stopped after {timeout_seconds:g} s, unready.\n{tail(log)}")


def measure(
    commands: Sequence[Command],
    environment: Mapping[str, str],
    log: Path,
    timeout_seconds: float,
    needs: Sequence[Program] = (),
) -> list[dict[str, float]]:
    """Run measuring programs at the same time, from one common go, and return the figures of each.

    Raises:
        ProgramFailed: one of them ended without figures, one of the services that they need ended, or the time was
            over; the others are stopped.
    """
    logs = [log.with_name(f"{log.stem}-{number}{log.suffix}") for number in range(len(commands))]
    with ExitStack() as stack:
        programs = [
            stack.enter_context(service(command, environment, path))
            for command, path in zip(commands, logs, strict=True)
        ]
        for program, path in zip(programs, logs, strict=True):
            await_ready(program, path)
        for program in programs:
            say_go(program)
        return [_figures(program, path, timeout_seconds, needs) for program, path in zip(programs, logs, strict=True)]


def say_go(program: Program) -> None:
    """Let a program that is ready begin."""
    pipe = _pipe(program.stdin)
    pipe.write(f"{protocol.GO}\n")
    pipe.flush()


def _figures(program: Program, log: Path, timeout_seconds: float, needs: Sequence[Program]) -> dict[str, float]:
    with _deadline(program, timeout_seconds, needs):
        line = _read_line(program)
    if not line:
        if any(need.poll() is not None for need in needs):
            raise ProgramFailed("A service that the program needs has ended; its log says why.")
        raise ProgramFailed(
            f"A program ended, or was stopped after {timeout_seconds:g} s, without figures.\n{tail(log)}"
        )
    figures: dict[str, float] = json.loads(line)
    return figures


def _read_line(program: Program) -> str:
    return _pipe(program.stdout).readline()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("This program was not started to speak the protocol.")
    return stream


@contextmanager
def _deadline(program: Program, seconds: float, needs: Sequence[Program] = ()) -> Iterator[None]:
    """Kill the program when the time is over or a service that it needs has ended; that ends whatever read waits."""
    finished = threading.Event()
    until = time.monotonic() + seconds

    def watch() -> None:
        while not finished.wait(WATCH_SECONDS):
            if time.monotonic() > until or any(need.poll() is not None for need in needs):
                program.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip() if log.exists() else ""


def idle_percent(roots: Sequence[Program], seconds: float, clock: Callable[[], float] = time.monotonic) -> float:
    """CPU time that the process trees take while nothing is asked of them, in per cent of one core."""
    began, before = clock(), cpu_seconds(roots)
    time.sleep(seconds)
    return 100 * (cpu_seconds(roots) - before) / (clock() - began)


def cpu_seconds(roots: Sequence[Program]) -> float:
    """CPU seconds that the process trees have taken so far."""
    return sum(_tree_cpu_seconds(root.pid) for root in roots)


def _tree_cpu_seconds(root: int) -> float:
    """CPU seconds of a process, of its living descendants, and of those that it has reaped."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return sum(ticks[pid] for pid in ticks if _descends(pid, root, parents)) / os.sysconf("SC_CLK_TCK")


def _descends(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    while pid and pid != root:
        pid = parents.get(pid, 0)
    return pid == root
