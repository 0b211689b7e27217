"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import waiting


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., object]:
    """Waits for a condition: ``eventually(lambda: instance.status == "Completed")``."""
    return waiting.eventually


@pytest.fixture(autouse=True)
def quick_password_hashes(settings):
    """Users of tests need passwords, but not ones that resist an attacker with a graphics card."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
