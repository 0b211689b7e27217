"""Pages of lists as this API writes them: the rows, and the addresses of the pages on either side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from orchestrations.reading.paging import Page

Row = TypeVar("Row", bound=Model)


def page_response(request: Request, page: Page[Row], describe: Callable[[Row], Any]) -> Response:
    """``{"next": …, "previous": …, "results": […]}``; an address is null where nothing follows on that side."""
    return Response(
        {
            "next": address(request, page.next_cursor),
            "previous": address(request, page.previous_cursor),
            "results": [describe(row) for row in page.items],
        }
    )


def address(request: Request, cursor: str | None) -> str | None:
    """The address of the page behind that cursor."""
    return None if cursor is None else replace_query_param(request.build_absolute_uri(), "cursor", cursor)
