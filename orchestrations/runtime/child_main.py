"""The program of a process that runs activities for a worker: orders come by its input, answers go by its output."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import django


def main() -> None:
    """Serve until the worker closes its side. What activities print goes where the worker's errors go."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the worker, which decides what becomes of its children
    django.setup()
    served = import_module("orchestrations.runtime.child_activities")  # its imports need Django's apps
    served.ChildActivities(sys.stdin.buffer, answers).serve()


if __name__ == "__main__":
    main()
