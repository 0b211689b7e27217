"""The floor of HTTP: an endpoint that inserts one row, behind the same server, middleware, framework and key.

It is what a Django team would write to put a job into a table: no audit trail, no check of the input, nobody is told.
"""

from __future__ import annotations

from django.db import connection
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrations.interfaces.api.authentication import KeyAuthentication

TABLE = "CREATE TABLE IF NOT EXISTS bench_job (id bigserial PRIMARY KEY, name text, input text, at timestamptz)"
INSERT = "INSERT INTO bench_job (name, input, at) VALUES (%s, %s, now()) RETURNING id"


class OneRow(APIView):
    """Inserts a row."""

    authentication_classes = (KeyAuthentication,)
    permission_classes = (IsAuthenticated,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)

    def post(self, request: Request) -> Response:
        """One statement, which is one commit."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT, [request.data["orchestrator"], str(request.data["input"])])
            (key,) = cursor.fetchone()
        return Response({"id": key}, status=201)
