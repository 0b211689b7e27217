"""A program that calls the management API with the system key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from tests.functions import registered

SYSTEM_KEY = "correct horse battery staple"
BASE = "/runtime/webhooks/durabletask"


@pytest.fixture(autouse=True)
def site(settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.interfaces.management_api.urls"
    settings.DURABLE = {"SYSTEM_KEY": SYSTEM_KEY}
    with registered():
        yield


class Caller:
    """Sends requests below the API's base path, with the system key in the header."""

    def __init__(self, key: str | None = SYSTEM_KEY) -> None:
        self._client = Client(enforce_csrf_checks=True, headers={"x-functions-key": key} if key else {})

    def get(self, path: str, **options):
        return self._client.get(self._url(path), **options)

    def post(self, path: str, body: str | bytes = b"", content_type: str = "application/json", **options):
        return self.call("POST", path, data=body, content_type=content_type, **options)

    def delete(self, path: str, **options):
        return self._client.delete(self._url(path), **options)

    def call(self, method: str, path: str, *, content_type: str = "application/json", **options):
        declared = {"CONTENT_TYPE": content_type}  # Django's test client leaves it out where there is no body
        return self._client.generic(method, self._url(path), content_type=content_type, **declared, **options)

    @staticmethod
    def _url(path: str) -> str:
        return path if path.startswith(("http", "/")) else f"{BASE}/{path}"


@pytest.fixture
def api(db) -> Caller:
    return Caller()


@pytest.fixture
def stranger(db) -> Caller:
    return Caller(key=None)
