"""An SQLite database that is migrated once and copied afterwards: migrations take longer than most test modules.

The copy is kept in pytest's cache, under a name that changes with any migration and any version of what is installed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from hashlib import blake2s
from importlib.metadata import distributions
from pathlib import Path
from shutil import copyfile
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.backends.sqlite3.creation import DatabaseCreation


def fingerprint() -> str:
    """Of all that a migrated database depends on."""
    digest = blake2s(digest_size=12)
    for app in sorted(apps.get_app_configs(), key=lambda app: app.name):
        for path in sorted((Path(app.path) / "migrations").glob("*.py")):
            digest.update(f"{app.name} {path.name}".encode() + path.read_bytes())
    for name in sorted(f"{one.name} {one.version}" for one in distributions()):
        digest.update(name.encode())
    return digest.hexdigest()


def keep(kept: Path, alias: str) -> None:
    """Make the copy from a database that is just migrated. Processes that do so at the same time do the same."""
    part = kept.with_name(f"{kept.name}.{os.getpid()}")
    connection = sqlite3.connect(connections[alias].settings_dict["NAME"])
    connection.execute("VACUUM INTO ?", [str(part)])
    connection.close()
    part.replace(kept)
    for outdated in set(kept.parent.glob("*.sqlite3")) - {kept}:
        outdated.unlink(missing_ok=True)


def begin_with(kept: Path) -> None:
    """Let test databases be copies of it, which ``migrate`` finds up to date."""
    create: Callable[..., str] = DatabaseCreation._create_test_db

    def create_copy(self: DatabaseCreation, *args: Any, **options: Any) -> str:
        name = create(self, *args, **options)
        if kept.exists() and not Path(name).exists():
            copyfile(kept, name)
        return name

    DatabaseCreation._create_test_db = create_copy  # type: ignore[method-assign]
