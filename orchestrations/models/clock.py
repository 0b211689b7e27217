"""The database's clock in statements and as the default of columns."""

from __future__ import annotations

from typing import Any

from django.db.models import functions


def sqlite_moment(*modifiers: str) -> str:
    """The present moment on SQLite, or one beside it, in the text that Python's ``str`` makes of it.

    That has six digits of a second, or none of a whole one; Django stores such texts, and SQLite compares them.
    """
    given = ", ".join(f"'{text}'" for text in ("NOW", *modifiers))
    return f"REPLACE(STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f000', {given}), '.000000', '')"


class Now(functions.Now):  # noqa: TID251 - in its place everywhere else
    """The present moment by the database's clock.

    Django's own ``Now`` writes three digits of a second on SQLite, which make a smaller text than the six of the same
    instant that Python writes; of this one the texts are equal.
    """

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """As text."""
        return self.as_sql(compiler, connection, template=sqlite_moment().replace("%", "%%"), **context)
