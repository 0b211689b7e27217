"""The subcommands of ``manage.py durable``: each module of this package is one, under its own name.

A module has ``HELP``, one line; ``add_arguments(parser)``; and ``run(options, stdout)``, which raises CommandError to
end with a message and exit code 1. Hyphens in the subcommand stand for underscores in the module's name.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType


def subcommands() -> dict[str, ModuleType]:
    """Every subcommand's module by the subcommand's name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name.replace("_", "-"): import_module(f"{__name__}.{name}") for name in names}
