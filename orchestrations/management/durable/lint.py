"""``manage.py durable lint``: orchestrators that could come out differently on replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.authoring.determinism.lint import Finding, lint
from orchestrations.authoring.registry import registry

HELP = "Reads the code of all orchestrators for what is not deterministic, and exits with 1 where there is some."


def add_arguments(parser: CommandParser) -> None:
    """Which orchestrators."""
    parser.add_argument("names", nargs="*", help="Only these orchestrators. Default: all that are registered.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Print each finding with its file, line, rule and what to use instead."""
    wanted: list[str] = options["names"]
    unknown = [name for name in wanted if not registry.has_orchestrator(name)]
    if unknown:
        known = ", ".join(sorted(registry.orchestrators()))
        raise CommandError(f"No orchestrator is named {unknown[0]!r}. Known: {known}.")
    chosen = [one for one in registry.all_orchestrators() if not wanted or one.name in wanted]
    findings = sorted({finding for one in chosen for finding in lint(one.function)})
    for finding in findings:
        stdout.write(_line(finding))
    if findings:
        raise CommandError(
            f"{len(findings)} findings in {len(chosen)} orchestrators. A line that is meant so says "
            "`# durable: ignore[code]`."
        )
    stdout.write(f"{len(chosen)} orchestrators read; nothing found.")


def _line(finding: Finding) -> str:
    path = Path(finding.file)
    working_directory = Path.cwd()
    shown = path.relative_to(working_directory) if path.is_relative_to(working_directory) else path
    return str(finding).replace(finding.file, str(shown), 1)
