"""Any number of made-up rows at once, for trying out and for measuring. No engine works on them while they come in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connections, models, transaction

Row = Sequence[Any]
BATCH = 5_000  # rows of one statement where there is no COPY
TEXT = 256 * 1024  # bytes handed to the driver at once: a million rows go in without a million calls
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def insert(using: str, model: type[models.Model], columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Write the rows in one transaction and return how many there were: with COPY on PostgreSQL, else in batches.

    ``columns`` are names of columns; instants are aware and JSON is a dict. Triggers and signals see nothing of it.
    """
    with transaction.atomic(using):
        if connections[using].vendor == "postgresql":
            return _copy(using, model, columns, rows)
        return _insert_batches(using, model, columns, rows)


def reserve_ids(using: str, model: type[models.Model], count: int) -> int:
    """The first of ``count`` primary keys in a row that nothing else will be given."""
    table = model._meta.db_table
    if connections[using].vendor != "postgresql":
        return int(model._default_manager.using(using).aggregate(last=models.Max("pk"))["last"] or 0) + 1
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        (sequence,) = cursor.fetchone() or ("",)
        cursor.execute("SELECT setval(%s, nextval(%s) + %s)", [sequence, sequence, count])
        (last,) = cursor.fetchone() or (0,)
    return int(last) - count


def refresh_statistics(using: str, models_filled: Iterable[type[models.Model]]) -> None:
    """Let the database look at what its tables hold now: plans, and what an index alone can answer, depend on it."""
    is_postgresql = connections[using].vendor == "postgresql"
    with connections[using].cursor() as cursor:
        for model in models_filled if is_postgresql else ():
            vacuum = "ANALYZE" if connections[using].in_atomic_block else "VACUUM (ANALYZE)"
            cursor.execute(f"{vacuum} {model._meta.db_table}")
        if not is_postgresql:
            cursor.execute("ANALYZE")


def _copy(using: str, model: type[models.Model], columns: Sequence[str], rows: Iterable[Row]) -> int:
    statement = f"COPY {model._meta.db_table} ({', '.join(columns)}) FROM STDIN"
    count = size = 0
    lines: list[str] = []
    with connections[using].cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            lines.append("\t".join([_text(value) for value in row]))
            count += 1
            size += len(lines[-1])
            if size > TEXT:
                copy.write("\n".join(lines) + "\n")
                lines, size = [], 0
        if lines:
            copy.write("\n".join(lines) + "\n")
    return count


def _text(value: object) -> str:
    """A value in the text form of COPY."""
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(ESCAPED)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value).translate(ESCAPED)
    return str(value)


def _insert_batches(using: str, model: type[models.Model], columns: Sequence[str], rows: Iterable[Row]) -> int:
    connection = connections[using]
    by_column = {field.column: field for field in model._meta.concrete_fields}
    fields = [by_column[column] for column in columns]
    marks = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) VALUES ({marks})"
    count = 0
    with connection.cursor() as cursor:
        for batch in _batches(rows):
            values = [
                [field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True)]
                for row in batch
            ]
            cursor.executemany(statement, values)
            count += len(values)
    return count


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch
