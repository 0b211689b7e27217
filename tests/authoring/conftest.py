"""Functions that a test declares are forgotten after it."""

from __future__ import annotations

import pytest

from orchestrations.authoring.registry import registry


@pytest.fixture(autouse=True)
def _preserved_registry():
    with registry.preserved():
        yield
