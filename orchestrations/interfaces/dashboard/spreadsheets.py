"""CSV that is written while it is sent, and in which no cell is taken for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would take a text for a formula


def csv_lines(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A line for each row, below one with the heads; None is an empty cell."""
    writer = csv.writer(_Lines())
    yield writer.writerow(heads)
    for row in rows:
        yield writer.writerow(["" if cell is None else _harmless(str(cell)) for cell in row])


class _Lines:
    """Hands what a csv writer writes to whoever asked it to."""

    def write(self, text: str) -> str:
        return text


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_BEGINS) else cell
