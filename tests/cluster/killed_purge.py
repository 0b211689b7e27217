"""Purges all families, and is killed on the way: ``python -m tests.cluster.killed_purge TABLE TIMES``.

That is right after the statement that deletes from the table for the so manieth time, whose transaction is open then.
The table ``files`` stands for what is deleted once a transaction has committed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch

import django
from django.core.management import call_command
from django.db import connection


def main(table: str, times: int) -> None:
    django.setup()
    from orchestrations import payload_files

    left = times

    def count_down() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(run: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        result = run(sql, *arguments)
        if sql.replace('"', "").split(maxsplit=3)[:3] == ["DELETE", "FROM", table]:
            count_down()
        return result

    delete = payload_files.delete

    def delete_files(names: Iterable[str]) -> None:
        for name in names:
            delete([name])
            if table == "files":
                count_down()

    with connection.execute_wrapper(execute), patch.object(payload_files, "delete", delete_files):
        call_command("durable", "purge", "--name", "parent", "--recursive", "--reason", "old")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
