"""``manage.py durable``: what an operator does without a browser. It only hands on to its subcommands."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orchestrations.management.durable import subcommands


class Command(BaseCommand):
    """One command with subcommands; ``orchestrations.management.durable`` holds them."""

    help = "Looks after orchestrations from the command line."
    requires_system_checks = []  # a site that has a problem is when an operator needs these most

    def add_arguments(self, parser: CommandParser) -> None:
        chosen = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for name, module in subcommands().items():
            module.add_arguments(chosen.add_parser(name, help=module.HELP, description=module.HELP))

    def handle(self, *args: Any, **options: Any) -> None:
        subcommands()[options["subcommand"]].run(options, self.stdout)
