"""Fixtures of the core's tests; the cases' own assertions explain themselves too."""

from datetime import timedelta

import pytest

pytest.register_assert_rewrite("tests.core.cases")

from orchestrations.core.retries import RetryPolicy  # noqa: E402 (after the rewriting is registered)


@pytest.fixture
def retry_thrice():
    return RetryPolicy(first_retry_interval=timedelta(seconds=10), max_number_of_attempts=3)
