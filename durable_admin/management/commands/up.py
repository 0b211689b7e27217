"""`manage.py up`: the whole site with one command.

It prepares the database and the static files, then hands over to the supervisor; what runs is decided here, how it is
kept running in durable_admin/processes.py. It belongs to the site, not to the app: it knows the site's web server,
accounts and samples.
"""

from __future__ import annotations

import logging
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import OperationalError, connection, connections

from durable_admin import web_server
from durable_admin.demo_account import USERNAME, ensure_demo_account
from durable_admin.logs import SERVICE_VARIABLE, JsonFormatter
from durable_admin.processes import Output, Program, Supervisor, prefixed
from durable_admin.safeguards import is_loopback

MIGRATION_LOCK = 7_146_332_901  # any number that no other program of the database takes


class Command(BaseCommand):
    help = (
        "Run the web server and the worker cluster together: migrates the database, starts both, restarts what dies, "
        "and stops both with Ctrl-C or SIGTERM. HOST, PORT, WORKERS and the rest come from the environment."
    )

    requires_system_checks = ()  # they come after what needs no look at the code

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--demo",
            action="store_true",
            help="On a site for this machine only: make an account to sign in with, and start the samples once.",
        )

    def handle(self, *, demo: bool, **options: object) -> None:
        self._refuse_exposed_site()
        try:
            web_server.refuse_unusable_address(settings.HOST, settings.PORT)
        except web_server.AddressUnusable as refusal:
            sys.exit(str(refusal))
        self.check()
        try:
            sign_in = self._prepare(demo=demo and not settings.PRODUCTION)
        except OperationalError as error:
            sys.exit(f"The database does not answer: {str(error).splitlines()[0]}. Start it, or mend DATABASE_URL.")
        except KeyboardInterrupt:
            sys.exit("Stopped before anything was started.")
        # What follows forks nothing, but the connections would stay open, unused, for as long as the site runs.
        connections.close_all()

        output = Output(sys.stdout.buffer, _framed if settings.LOG_FORMAT == "json" else prefixed)
        threading.Thread(target=self._announce, args=(output, sign_in), daemon=True).start()
        if not Supervisor(_programs(), output).run():
            sys.exit(1)

    @staticmethod
    def _refuse_exposed_site() -> None:
        if not settings.PRODUCTION and not is_loopback(settings.HOST):
            sys.exit(
                f"HOST={settings.HOST} offers the site to other machines, so it needs SECRET_KEY and ALLOWED_HOSTS: "
                "set both, or leave HOST out."
            )

    def _prepare(self, *, demo: bool) -> str:
        """Brings database and static files up to date; returns the line that says how to sign in."""
        with _alone_with_the_database():
            call_command("migrate", interactive=False, verbosity=0)
            password = ensure_demo_account(settings.VAR_DIR / "demo_password") if demo else None
        if settings.PRODUCTION:
            call_command("collectstatic", interactive=False, verbosity=0)
        if demo:
            from durable_admin.samples.demo import start_demo

            start_demo()
        if password:
            return f"Sign in as {USERNAME} with the password {password}"
        return "Sign in with your account (make one with: python manage.py createsuperuser)"

    @staticmethod
    def _announce(output: Output, sign_in: str) -> None:
        url = web_server.url(settings.HOST, settings.PORT)
        web_server.wait_until_healthy(url, settings.ALLOWED_HOSTS[0].lstrip("."))
        for line in (f"Durable Functions for Django runs at {url}", sign_in, "Stop it with Ctrl-C"):
            output.line("up", line.encode())


def _programs() -> list[Program]:
    """The web server and the cluster. Only the server pools connections: a pool would not survive a cluster's forks."""
    manage = str(settings.BASE_DIR / "manage.py")
    return [
        Program(
            "web",
            web_server.command(settings.BASE_DIR, settings.HOST, settings.PORT),
            {SERVICE_VARIABLE: "web", "DATABASE_POOL": "true"},
        ),
        Program(
            "worker",
            (sys.executable, manage, "qcluster"),
            {SERVICE_VARIABLE: "worker", "DATABASE_POOL": "false"},
        ),
    ]


def _framed(source: str, text: bytes) -> bytes:
    """Leaves a program's JSON line as it is, and makes one of what is none (what `up` says, a crash's traceback)."""
    if text.startswith(b"{"):
        return text
    record = logging.makeLogRecord(
        {"name": "durable_admin.up", "levelname": "INFO", "msg": text.decode(errors="replace"), "service": source}
    )
    return JsonFormatter().format(record).encode()


@contextmanager
def _alone_with_the_database() -> Iterator[None]:
    """Lets one host at a time migrate a shared database; the others wait, and find it done."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
