"""`manage.py up` as its user meets it: a process that starts, prints, is interrupted or killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from django.db import connection

from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc"),
    # Each of these tests starts a whole site: side by side they would only measure the machine.
    pytest.mark.xdist_group("sites"),
]

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90.0
STOP_SECONDS = 30.0
SYSTEM_KEY = "a-system-key-for-one-test"
PRODUCTION_KEY = "k7Jx-Qw2mZp9Rt4VbN6yHc1LsD8fGa3UeT5iOqWzXnYrBvCmPk"
SITE_VARIABLES = ("PATH", "PYTHONPATH", "HOME", "LANG", "VIRTUAL_ENV")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """A site of its own: data, port, and the processes that `up` starts."""

    def __init__(self, var_dir: Path, **environment: str) -> None:
        self.var_dir = var_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.lines: list[str] = []
        self._environment = {
            **{name: os.environ[name] for name in SITE_VARIABLES if name in os.environ},
            "VAR_DIR": str(var_dir),
            "PORT": str(self.port),
            "WORKERS": "1",
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> dict:
        return {
            "args": [sys.executable, str(ROOT / "manage.py"), "up", *arguments],
            "env": self._environment,
            "cwd": ROOT,
            "stdin": subprocess.DEVNULL,
            "text": True,
        }

    def refusal(self, *arguments: str) -> str:
        """What `up` says when it refuses to start."""
        ended = subprocess.run(**self.command(*arguments), capture_output=True, timeout=START_SECONDS, check=False)
        assert ended.returncode == 1
        assert ended.stdout == ""
        return ended.stderr.strip()

    def start(self, *arguments: str) -> None:
        self.lines = []
        self.process = subprocess.Popen(**self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        eventually(lambda: self.says("Stop it with Ctrl-C"), timeout_seconds=START_SECONDS, otherwise=self.log)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            self.lines.extend(line.rstrip("\n") for line in stream)

    def log(self) -> str:
        return "\n".join(self.lines)

    def says(self, text: str) -> str | None:
        return next((line for line in list(self.lines) if text in line), None)

    def is_healthy(self) -> bool:
        try:
            return httpx.get(self.url + "healthz", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def processes(self) -> dict[int, str]:
        """Every process of this site that is alive: its id and command."""
        marker = f"VAR_DIR={self.var_dir}\0".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if marker in (folder / "environ").read_bytes() + b"\0":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # ended meanwhile, or a zombie
        return found

    def leader(self, command: str) -> int:
        """The process that `up` started for that command."""
        assert self.process is not None
        for pid, line in self.processes().items():
            if command in line and parent(pid) == self.process.pid:
                return pid
        return 0

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"`up` did not stop within {STOP_SECONDS} s:\n{self.log()}")

    def clear(self) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.process is not None:
            self.process.wait()


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """What gives a site a database of its own, on the kind of database that this run of the suite is for."""
    if connection.vendor != "postgresql":
        yield {}
        return
    server = {key: connection.settings_dict[key.upper()] or None for key in ("host", "port", "user", "password")}
    name = f"durable_up_{uuid.uuid4().hex}"
    with psycopg.connect(**server, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        secret = f":{quote(server['password'])}" if server["password"] else ""
        yield {"DATABASE_URL": f"postgres://{server['user']}{secret}@{server['host']}:{server['port']}/{name}"}
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def site_with(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**more: str) -> Site:
        sites.append(Site(tmp_path, **environment, **more))
        return sites[-1]

    yield make
    for site in sites:
        site.clear()


@pytest.fixture
def site(site_with: Callable[..., Site], environment: dict[str, str], tmp_path: Path, migrated_into: Any) -> Site:
    """On SQLite with a database that is migrated: that a site does so is for those tests that make their own."""
    if not environment:
        migrated_into(tmp_path)
    return site_with()


def test_a_busy_port_is_refused_with_one_line_before_anything_is_touched(site_with):
    site = site_with()
    with socket.socket() as other_program:
        other_program.bind(("127.0.0.1", site.port))
        other_program.listen()

        assert site.refusal("--demo") == f"Port {site.port} is in use: set PORT=… or stop the other program."

    assert not (site.var_dir / "durable.sqlite3").exists()


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PORT": "80000"}, "The settings can't work: PORT is '80000': give a whole number from 1 to 65535."),
        (
            {"HOST": "0.0.0.0"},
            "HOST=0.0.0.0 offers the site to other machines, so it needs SECRET_KEY and ALLOWED_HOSTS: "
            "set both, or leave HOST out.",
        ),
        (
            {"HOST": "192.0.2.7", "SECRET_KEY": "k" * 50, "ALLOWED_HOSTS": "example.org"},
            "HOST=192.0.2.7 is no address of this machine: set HOST=127.0.0.1, or 0.0.0.0 for all its addresses.",
        ),
    ],
)
def test_what_can_not_work_is_refused_with_one_line(tmp_path, environment, line):
    assert Site(tmp_path, **environment).refusal() == line


def test_a_database_that_does_not_answer_is_refused_with_one_line(tmp_path):
    site = Site(tmp_path, DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port()}/none")

    assert re.fullmatch(
        r"The database does not answer: .*Connection refused.*\. Start it, or mend DATABASE_URL\.", site.refusal()
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(site, number):
    site.start()
    assert site.is_healthy()

    site.interrupt(number)

    assert site.wait() == 0, site.log()
    assert not site.processes()
    assert not site.says("Ended by force")


def test_no_process_is_left_when_up_itself_is_killed(site):
    site.start()

    site.interrupt(signal.SIGKILL)

    site.wait()
    eventually(lambda: not site.processes(), timeout_seconds=STOP_SECONDS, otherwise=lambda: str(site.processes()))


@pytest.mark.parametrize(("name", "command"), [("web", "uvicorn"), ("worker", "qcluster")])
def test_a_program_that_is_killed_comes_back(site, name, command):
    site.start()
    killed = eventually(lambda: site.leader(command))

    os.kill(killed, signal.SIGKILL)

    eventually(lambda: site.says(f"{name} was ended by SIGKILL"), otherwise=site.log)
    eventually(lambda: site.leader(command) not in (0, killed), timeout_seconds=START_SECONDS, otherwise=site.log)
    eventually(site.is_healthy, timeout_seconds=START_SECONDS, otherwise=site.log)
    site.interrupt()
    assert site.wait() == 0, site.log()
    assert not site.processes()


def test_a_second_interrupt_ends_what_would_not_stop(site):
    site.start()
    os.kill(eventually(lambda: site.leader("uvicorn")), signal.SIGSTOP)

    site.interrupt()
    eventually(lambda: site.says("Stopping"), otherwise=site.log)
    site.interrupt()

    assert site.wait() == 1, site.log()
    assert re.search(r"Ended by force: .*web", site.log()), site.log()
    assert not site.processes()


def sample_status(site: Site) -> dict:
    """What the management API says about the first sample."""
    answer = httpx.get(
        site.url + "runtime/webhooks/durabletask/instances/demo-chaining",
        headers={"x-functions-key": SYSTEM_KEY},
        trust_env=False,
    )
    return answer.json()


def test_a_second_run_finds_the_account_and_the_data_of_the_first(site_with):
    site = site_with(DURABLE_SYSTEM_KEY=SYSTEM_KEY)
    site.start("--demo")
    eventually(
        lambda: sample_status(site)["runtimeStatus"] == "Completed", timeout_seconds=START_SECONDS, otherwise=site.log
    )
    created_at = sample_status(site)["createdTime"]
    sign_in = site.says("Sign in as demo with the password")
    assert sign_in
    account = {"username": "demo", "password": sign_in.rpartition(" ")[2]}
    with httpx.Client(base_url=site.url, trust_env=False) as browser:
        browser.get("accounts/login/")
        form = {**account, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert browser.post("accounts/login/", data=form).status_code == httpx.codes.FOUND
        session = browser.cookies["durable_session"]
    site.interrupt()
    assert site.wait() == 0, site.log()

    site.start("--demo")

    assert site.says("Sign in as demo with the password") == sign_in
    page = httpx.get(site.url + "admin/", cookies={"durable_session": session}, trust_env=False)
    assert page.status_code == httpx.codes.OK, "the session of the first run is not known any more"
    assert sample_status(site)["createdTime"] == created_at, "the sample was started anew"


def test_a_site_in_production_answers_under_its_name_with_hashed_files_and_insists_on_tls(site_with):
    site = site_with(SECRET_KEY=PRODUCTION_KEY, ALLOWED_HOSTS=".example.org")
    site.start("--demo")
    visitor = {"Host": "durable.example.org"}
    behind_tls = {**visitor, "X-Forwarded-Proto": "https"}
    style = json.loads((site.var_dir / "static" / "staticfiles.json").read_text())["paths"]["admin/css/base.css"]

    plain = httpx.get(site.url + "admin/", headers=visitor, trust_env=False)
    served = httpx.get(f"{site.url}static/{style}", headers=behind_tls, trust_env=False)

    assert plain.status_code == httpx.codes.MOVED_PERMANENTLY
    assert plain.headers["Location"] == "https://durable.example.org/admin/"
    assert served.status_code == httpx.codes.OK
    assert "immutable" in served.headers["Cache-Control"]
    assert httpx.get(site.url + "admin/", headers={"Host": "evil.test"}, trust_env=False).status_code == 400
    assert not site.says("Sign in as demo"), "a demo account has no place in production"


def test_each_line_is_json_where_the_log_is_for_machines(site_with):
    site = site_with(LOG_FORMAT="json")
    site.start()
    os.kill(eventually(lambda: site.leader("uvicorn")), signal.SIGKILL)
    eventually(lambda: site.says("web was ended by SIGKILL"), otherwise=site.log)
    site.interrupt()
    assert site.wait() == 0, site.log()

    records = [json.loads(line) for line in site.lines]
    assert {"time", "level", "logger", "message", "service"} <= records[0].keys()
    assert "up" in {record["service"] for record in records}
