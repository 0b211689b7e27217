"""``manage.py qcluster``: django-q2's command, with its cluster supervised."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Run the workers of this host until SIGTERM or SIGINT."""

    help = "Starts the workers of this host: orchestrations, activities, and the site's own django-q2 tasks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-n", "--name", dest="cluster_name", help="The name of an alternative django-q2 cluster.")
        parser.add_argument("--run-once", action="store_true", help="Start, then stop at once: checks the set-up.")

    def handle(self, *args: Any, **options: Any) -> None:
        # django-q2 reads the name when its configuration module is imported.
        if options["cluster_name"]:
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
        from orchestrations.worker.cluster import Supervisor

        Supervisor().run(once=options["run_once"])
