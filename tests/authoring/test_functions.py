"""The registered functions, as the engine asks for them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orchestrations import PayloadRejected, activity, orchestrator
from orchestrations.authoring.functions import RegisteredFunctions
from orchestrations.core.definitions import Functions
from tests.authoring import shop

functions: Functions = RegisteredFunctions()


@pytest.fixture(autouse=True)
def _declared():
    activity(timeout=30)(shop.charge)
    orchestrator(shop.buy)


def test_a_reference_is_a_function_or_a_name():
    assert functions.activity_name(shop.charge) == "charge"
    assert functions.activity_name("elsewhere") == "elsewhere"
    assert functions.orchestrator_name(shop.buy) == "buy"


def test_a_function_that_is_not_declared_is_refused():
    with pytest.raises(TypeError, match=r"Order is not declared as an activity\. Decorate it with @activity"):
        functions.activity_name(shop.Order)


def test_a_function_of_the_other_kind_is_refused():
    with pytest.raises(
        TypeError, match=r"'buy' is an orchestrator, not an activity\. Call it with call_sub_orchestrator"
    ):
        functions.activity_name(shop.buy)
    with pytest.raises(TypeError, match=r"'charge' is an activity, not an orchestrator\. Call it with call_activity"):
        functions.orchestrator_name(shop.charge)


def test_results_take_the_type_of_the_call_or_else_of_the_function():
    text = '{"number":"1","paid":"2"}'
    assert functions.decode_activity_result("charge", text) == shop.Receipt("1", Decimal(2))
    assert functions.decode_activity_result("charge", text, dict) == {"number": "1", "paid": "2"}
    assert functions.decode_orchestrator_result("buy", text) == shop.Receipt("1", Decimal(2))
    assert functions.decode_orchestrator_result("buy", text, dict[str, str]) == {"number": "1", "paid": "2"}


def test_functions_of_other_workers_take_and_give_plain_json():
    assert functions.encode_activity_input("elsewhere", shop.Order("1", Decimal(2))) == '{"number":"1","amount":"2"}'
    assert functions.decode_activity_result("elsewhere", "[1]") == [1]
    assert functions.encode_orchestrator_input("elsewhere", (1, 2)) == "[1,2]"
    assert functions.decode_orchestrator_result("elsewhere", None) is None
    assert functions.activity_timeout_seconds("elsewhere") is None


def test_the_timeout_is_the_one_declared():
    assert functions.activity_timeout_seconds("charge") == 30.0


@pytest.mark.parametrize(
    ("encode", "subject"),
    [
        (lambda bad: functions.encode_activity_input("charge", bad), "activity 'charge': parameter 'order'"),
        (lambda bad: functions.encode_activity_input("elsewhere", bad), "activity 'elsewhere': input"),
        (lambda bad: functions.encode_orchestrator_input("buy", bad), "orchestrator 'buy': parameter 'order'"),
        (lambda bad: functions.encode_orchestrator_input("elsewhere", bad), "orchestrator 'elsewhere': input"),
        (lambda bad: functions.encode(bad, "the custom status"), "the custom status"),
    ],
)
def test_what_cannot_be_encoded_is_refused_under_its_name(encode, subject):
    with pytest.raises(PayloadRejected) as caught:
        encode({"a": "\0"})
    assert caught.value.subject == subject


def test_what_cannot_be_decoded_is_refused_under_its_name():
    with pytest.raises(PayloadRejected, match=r"^activity 'charge': return value can't be read as Receipt"):
        functions.decode_activity_result("charge", "{}")
    with pytest.raises(PayloadRejected, match=r"^the external event 'ok' can't be read as bool"):
        functions.decode("1", bool, "the external event 'ok'")
