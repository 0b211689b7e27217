"""Names and what they stand for."""

from __future__ import annotations

import pytest

from orchestrations import ConfigurationError, FunctionNotRegistered, activity, orchestrator
from orchestrations.authoring.registry import registry


def test_an_unknown_name_says_what_is_known():
    activity(name="known")(lambda: None)
    with pytest.raises(FunctionNotRegistered) as caught:
        registry.activity("os.system")
    assert (caught.value.kind, caught.value.name) == ("activity", "os.system")
    assert "known" in caught.value.known
    with pytest.raises(FunctionNotRegistered, match="No orchestrator named 'known' is registered"):
        registry.orchestrator("known")


def test_orchestrators_and_activities_have_names_of_their_own():
    activity(name="buy")(lambda: None)
    orchestrator(name="buy")(lambda context: None)
    assert registry.has_activity("buy")
    assert registry.has_orchestrator("buy")
    assert not registry.has_activity("sell")


def test_a_taken_name_is_refused_with_both_places():
    @activity
    def charge() -> None: ...

    first = charge
    with pytest.raises(ConfigurationError) as caught:

        @activity
        def charge() -> None: ...

    message = str(caught.value)
    assert "Two activity functions have the name 'charge'" in message
    assert message.count(__file__) == 2
    assert registry.activity("charge").function is first


def test_listings_are_copies():
    activity(name="buy")(lambda: None)
    registry.activities().clear()
    registry.orchestrators().clear()
    assert registry.has_activity("buy")


def test_a_test_can_declare_functions_and_forget_them():
    with registry.preserved():
        activity(name="buy")(lambda: None)
    assert not registry.has_activity("buy")
