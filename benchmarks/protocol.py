"""How a measuring program talks to the harness: "ready", then a line to begin, then one line of JSON figures.

Preparation (imports, connections, warm-up) happens before "ready", so that no contender is charged for it.
"""

from __future__ import annotations

import json
import sys

READY = "ready"
GO = "go"


def await_go() -> None:
    """Say that preparation is over and wait until the harness says go.

    Raises:
        EOFError: the harness went away.
    """
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        raise EOFError("The harness closed the pipe before it said go.")


def report(figures: dict[str, float]) -> None:
    """Hand the figures to the harness."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
