"""The supervisor with small programs in the place of the site's."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from durable_admin import guardian
from durable_admin.processes import Child, Guardian, Output, Program, Supervisor, prefixed
from tests.waiting import eventually

WAITS_FOR_EVER = "import signal; print('ready'); signal.pause()"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS_FOR_EVER}"
LEAVES_A_CHILD_BEHIND = "import os, signal, sys\nif os.fork() == 0:\n    signal.pause()\nprint('ready')\nsignal.pause()"


class Lines(io.BytesIO):
    """A stream that remembers its lines."""

    def lines(self) -> list[str]:
        return self.getvalue().decode().splitlines()


class NobodyReads(io.RawIOBase):
    def write(self, _: object) -> int:
        raise BrokenPipeError


def python(name: str, source: str) -> Program:
    return Program(name, (sys.executable, "-c", source))


@pytest.fixture
def stream() -> Lines:
    return Lines()


@pytest.fixture
def child_of(stream) -> Iterator[Callable[[str], Child]]:
    """Makes children that are gone when the test is."""
    watcher = Guardian(grace_seconds=1.0)
    children: list[Child] = []

    def make(source: str) -> Child:
        children.append(Child(python("web", source), Output(stream, prefixed), watcher))
        return children[-1]

    yield make
    for child in children:
        child.kill()
    watcher.dismiss()


@contextmanager
def signals_once(stream: Lines, ready: int, *numbers: signal.Signals) -> Iterator[None]:
    """Sends this process the signals, once that many programs have said that they are ready."""

    def send() -> None:
        eventually(lambda: sum("ready" in line for line in stream.lines()) >= ready)
        for number in numbers:
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


def advance_until_ended(child: Child, now: float) -> None:
    def has_ended() -> bool:
        child.advance(now)
        return not child.is_running

    eventually(has_ended)


def test_lines_of_several_programs_come_out_whole_and_with_their_name(stream, child_of):
    child = child_of("print('one'); print('two', end='')")
    child.advance(now=0.0)

    eventually(lambda: child.reap() is not None)

    assert stream.lines() == ["web    | one", "web    | two"]


def test_a_program_that_keeps_ending_is_started_ever_later(stream, child_of):
    child = child_of("raise SystemExit(3)")
    now = 0.0
    for pause in (1, 2, 4, 8, 16, 30, 30):
        child.advance(now)
        assert child.is_running

        advance_until_ended(child, now)

        assert stream.lines()[-1].endswith(f"web ended with status 3 after 0 s; it starts again in {pause} s.")
        child.advance(now + pause - 0.1)
        assert not child.is_running
        now += pause


def test_a_program_that_has_settled_is_started_again_soon(stream, child_of):
    child = child_of("raise SystemExit(3)")
    for now in (0.0, 100.0, 200.0):
        child.advance(now)
        advance_until_ended(child, now + 60.0)

        assert stream.lines()[-1].endswith("web ended with status 3 after 60 s; it starts again in 1 s.")


def test_what_an_ended_program_leaves_behind_is_ended_too(stream, child_of):
    child = child_of(LEAVES_A_CHILD_BEHIND)
    child.advance(now=0.0)
    eventually(lambda: stream.lines())
    session = child.session
    assert len(guardian.members(session)) == 2

    os.kill(session, signal.SIGKILL)

    eventually(lambda: child.reap() is not None)
    assert not guardian.members(session)


def test_the_supervisor_says_whether_everything_stopped_by_itself(stream):
    programs = [python("web", WAITS_FOR_EVER), python("worker", WAITS_FOR_EVER)]

    with signals_once(stream, 2, signal.SIGTERM):
        assert Supervisor(programs, Output(stream, prefixed)).run() is True


def test_what_does_not_stop_in_time_is_ended_by_force(stream):
    programs = [python("web", WAITS_FOR_EVER), python("worker", IGNORES_SIGTERM)]

    with signals_once(stream, 2, signal.SIGINT):
        assert Supervisor(programs, Output(stream, prefixed), stop_seconds=0.5).run() is False

    assert stream.lines()[-1] == "up     | Ended by force: worker"


def test_the_supervisor_leaves_the_signals_as_it_found_them(stream):
    before = signal.getsignal(signal.SIGINT)

    with signals_once(stream, 1, signal.SIGHUP):
        Supervisor([python("web", WAITS_FOR_EVER)], Output(stream, prefixed)).run()

    assert signal.getsignal(signal.SIGINT) is before


def test_everything_stops_when_nobody_reads_the_log_any_more():
    output = Output(NobodyReads(), prefixed)

    assert Supervisor([python("web", WAITS_FOR_EVER)], output).run() is True

    assert output.is_broken


def test_the_guardian_ends_the_sessions_that_lived_when_its_input_ended():
    command = [sys.executable, "-u", "-c", IGNORES_SIGTERM]
    with (
        subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as alive,
        subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as reported_ended,
    ):
        assert alive.stdout.readline() == reported_ended.stdout.readline() == b"ready\n"

        sessions = guardian.read_sessions([f"+{alive.pid}\n", f"+{reported_ended.pid}\n", f"-{reported_ended.pid}\n"])
        guardian.end_sessions(sessions, grace_seconds=0.2)

        assert alive.wait(timeout=10) == -signal.SIGKILL
        assert reported_ended.poll() is None
        reported_ended.kill()
