"""What ``import orchestrations`` gives, and what it needs."""

from __future__ import annotations

import subprocess
import sys
import typing

import pytest

import orchestrations


@pytest.mark.parametrize("name", orchestrations.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(orchestrations, name).__module__.startswith("orchestrations.")
    assert name in dir(orchestrations)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'orchestrations' has no attribute 'workflow'"):
        _ = orchestrations.workflow


def test_orchestrators_can_be_written_before_django_is_configured():
    script = """
from orchestrations import ActivityContext, OrchestrationContext, RetryPolicy, TaskFailedError, activity, orchestrator
@activity
def charge(context: ActivityContext, amount: int) -> str: return f"P-{amount}"
@orchestrator
def buy(context: OrchestrationContext, amount: int): return (yield context.call_activity(charge, amount))
from django.conf import settings
assert not settings.configured
assert charge.durable.decode_input("3") == 3
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env={})
    assert result.returncode == 0, result.stderr


def test_decorated_functions_keep_their_signature_for_readers():
    @orchestrations.activity(name="typed")
    def typed(amount: int) -> str:
        return str(amount)

    assert typing.get_type_hints(typed) == {"amount": int, "return": str}
