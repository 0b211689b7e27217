"""Which of the statements that a test has captured read something."""

from __future__ import annotations

from django.test.utils import CaptureQueriesContext


def reads(captured: CaptureQueriesContext) -> list[str]:
    """The SELECT statements; PostgreSQL's unions begin with a parenthesis."""
    statements = [query["sql"].lstrip("( \n") for query in captured.captured_queries]
    return [sql for sql in statements if sql.startswith(("SELECT", "WITH"))]
