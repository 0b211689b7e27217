"""The list of what there is, and the pages that show the schema."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from orchestrations.interfaces.api import problems
from orchestrations.interfaces.api.policy import POLICY
from orchestrations.interfaces.api.views.hub import HubView

LISTED = ("instances", "instance_counts", "batches", "waits", "approvals", "entities", "functions", "workers", "audit")


def viewer(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page for people who are signed in, under a policy that lets a vendored viewer of the schema start."""

    @login_required
    @wraps(view)
    def answer(*args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(*args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return answer


class Schema(SpectacularAPIView):
    """The schema as OpenAPI 3.1, in YAML or JSON."""

    authentication_classes = HubView.authentication_classes
    permission_classes = HubView.permission_classes

    def get_exception_handler(self) -> Callable[..., Any]:
        """Problem details for every error."""
        return problems.handle

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """A problem is JSON, whatever the schema was asked for in."""
        if getattr(response, "exception", False):
            request.accepted_renderer = problems.ProblemRenderer()
            request.accepted_media_type = problems.MEDIA_TYPE
        return super().finalize_response(request, response, *args, **kwargs)


class Root(HubView):
    """Durable Functions for Django: what this API has."""

    is_for_everybody = True

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """The addresses of the lists, of the schema and of the pages that show it."""
        names = (*LISTED, "schema", "docs", "redoc")
        return Response({name: reverse(f"api:{name}", request=request) for name in names})


class Nowhere(HubView):
    """Whatever address is none."""

    is_for_everybody = True

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Say so, to who is signed in."""
        super().initial(request, *args, **kwargs)
        raise NotFound("The API has no such address. GET /api/ lists those that it has.")


@csrf_exempt
def with_slash(request: HttpRequest) -> HttpResponseBase:
    """Lead to the address with its slash by a 308, which keeps method and body: of a POST a 301 makes a GET."""
    return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True), preserve_request=True)


root = Root.as_view()
nowhere = extend_schema(exclude=True)(Nowhere).as_view()
