"""A person who calls the REST API with a token, and may do what a test lets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from tests.functions import registered

VIEWER = ("view_instance", "view_payloads")
OPERATOR = (
    *VIEWER,
    "start_instance",
    "raise_event",
    "terminate_instance",
    "suspend_instance",
    "rewind_instance",
    "purge_instance",
    "signal_entity",
    "view_auditentry",
)


@pytest.fixture(autouse=True)
def site(settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.interfaces.api.urls"
    with registered():
        yield


@pytest.fixture
def caller(db) -> Callable[..., APIClient]:
    """Makes a caller with these permissions."""

    def caller(*permissions: str, name: str = "ada") -> APIClient:
        user = User.objects.create_user(name)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = APIClient(enforce_csrf_checks=True)
        client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=user).key}")
        return client

    return caller


@pytest.fixture
def api(caller) -> APIClient:
    return caller(*OPERATOR)
