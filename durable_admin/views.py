"""What belongs to the site itself: whether it is well, and its icon."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponseRedirect, JsonResponse
from django.templatetags.static import static
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answers 200 while this process serves requests and the database answers it, else 503; says no more to anyone."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        logger.warning("The database does not answer: %s", error)
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    return JsonResponse({"status": "ok"})


@cache_control(max_age=24 * 60 * 60, public=True)
@require_safe
def favicon(request: HttpRequest) -> HttpResponseRedirect:
    """Leads to the icon whatever is no page, such as a JSON answer, and so can't name it itself."""
    return HttpResponseRedirect(static("icon.svg"))
