"""What can be declared, and what is refused when it is declared."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator, Iterator
from datetime import timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from orchestrations import ActivityContext, ConfigurationError, OrchestrationContext, activity, orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.errors import PayloadRejected
from tests.authoring import shop


class Opaque:
    pass


def test_a_bare_decorator_returns_the_function_itself():
    def greet(name: str) -> str:
        return f"Hello {name}"

    assert activity(greet) is greet
    assert greet("Ann") == "Hello Ann"
    assert greet.durable is registry.activity("greet")
    assert greet.durable.kind == "activity"


def test_options_are_given_by_name():
    @activity(name="shop.charge", timeout=timedelta(minutes=2), transactional=True)
    def charge(amount: int) -> int:
        return amount

    definition = registry.activity("shop.charge")
    assert definition.function is charge
    assert definition.timeout_seconds == 120.0
    assert definition.transactional
    assert charge(3) == 3


def test_an_orchestrator_has_a_name_and_a_version():
    @orchestrator(name="buy", version="2.0")
    def function(context: OrchestrationContext) -> Any:
        return None

    definition = registry.orchestrator("buy")
    assert function.durable is definition
    assert (definition.name, definition.version, definition.kind) == ("buy", "2.0", "orchestrator")
    assert not definition.takes_input


@pytest.mark.parametrize(
    ("function", "takes_context", "takes_input"),
    [
        (lambda: None, False, False),
        (lambda order: None, False, True),
        (lambda context: None, True, False),
        (lambda ctx, order: None, True, True),
        (lambda _, order: None, True, True),
        (lambda order, *, strict=True: None, False, True),
    ],
)
def test_an_activity_without_annotations_is_read_by_its_names(function, takes_context, takes_input):
    definition = activity(name="f")(function).durable
    assert (definition.takes_context, definition.takes_input) == (takes_context, takes_input)


def test_a_context_is_known_by_its_annotation():
    def only(call: ActivityContext) -> None: ...
    def both(call: ActivityContext, order: int) -> None: ...
    def named(context: dict[str, int]) -> None: ...

    assert (activity(only).durable.takes_context, only.durable.takes_input) == (True, False)
    assert (activity(both).durable.takes_context, both.durable.takes_input) == (True, True)
    assert (activity(named).durable.takes_context, named.durable.takes_input) == (False, True)


def test_arguments_are_the_context_and_the_decoded_input():
    definition = activity(shop.charge).durable
    context = ActivityContext(instance_id="i", task_id=0)
    assert definition.arguments(context, '{"number":"1","amount":"2.50"}') == (
        context,
        shop.Order("1", Decimal("2.50")),
    )


def test_an_absent_input_takes_the_default_of_the_parameter():
    @activity
    def greet(name: str = "world") -> str:
        return name

    assert greet.durable.decode_input(None) == "world"
    assert greet.durable.decode_input('"Ann"') == "Ann"


def test_async_functions_are_known():
    assert activity(shop.ship).durable.is_async
    assert not activity(shop.charge).durable.is_async


def test_a_decorator_below_may_wrap_the_function():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    definition = activity(logged(shop.charge)).durable
    assert definition.takes_context
    assert definition.decode_input('{"number":"1","amount":"2"}') == shop.Order("1", Decimal(2))


def generator(order: int) -> Iterator[int]:
    yield order


async def async_generator(context: Any) -> AsyncGenerator[int, None]:
    yield 1


class Holder:
    def method(self, order: int) -> int:
        return order


@pytest.mark.parametrize(
    ("decorator", "function", "problem"),
    [
        (orchestrator, lambda: None, "takes no parameters. Let it take (context) or (context, input)"),
        (orchestrator, lambda context, a, b: None, "takes 3 parameters (context, a, b)"),
        (orchestrator, async_generator, "is an async generator"),
        (orchestrator, lambda context, *items: None, "takes *items"),
        (activity, lambda order, amount: None, "takes 2 parameters (order, amount)"),
        (activity, lambda context, order, amount: None, "takes 3 parameters (context, order, amount)"),
        (activity, lambda **options: None, "takes **options"),
        (activity, lambda order, *, strict: None, "needs the keyword argument 'strict'"),
        (activity, generator, "is a generator"),
        (activity, Holder.method, "is a method"),
        (activity(transactional=True), shop.ship, "is transactional and async"),
        (activity(timeout=0), lambda: None, "has the timeout 0"),
        (activity(timeout=float("inf")), lambda: None, "has the timeout inf"),
        (orchestrator(version="1" * 65), lambda context: None, "has a version that is no line"),
    ],
)
def test_a_function_that_cannot_be_run_is_refused(decorator, function, problem):
    before = registry.orchestrators(), registry.activities()
    with pytest.raises(ConfigurationError) as caught:
        decorator(function)
    message = str(caught.value)
    assert problem in message
    assert f"{inspect.unwrap(function).__code__.co_filename}:" in message
    assert (registry.orchestrators(), registry.activities()) == before


@pytest.mark.parametrize("thing", [print, "charge", functools.partial(shop.charge), Holder, 3])
def test_only_functions_are_declared(thing):
    with pytest.raises(ConfigurationError, match="which is no function"):
        activity(thing)


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\\b", "a#b", "a?b", "@a", "a\nb", "a\0", "x" * 257])
def test_a_name_has_to_fit_into_urls_and_columns(name):
    with pytest.raises(ConfigurationError, match="A name has 1 to 256 printable characters"):
        activity(name=name)(lambda: None)


def test_one_function_has_one_role():
    activity(shop.charge)
    with pytest.raises(ConfigurationError, match="is declared already, as the activity 'charge'"):
        activity(name="other")(shop.charge)


def test_a_type_without_a_json_form_is_refused_with_function_parameter_and_type():
    with pytest.raises(ConfigurationError) as caught:

        @activity
        def paint(canvas: list[Opaque]) -> None: ...

    assert "The activity 'paint'" in str(caught.value)
    assert "annotates its parameter 'canvas' as list[" in str(caught.value)
    assert "Opaque has no JSON form" in str(caught.value)


def test_a_result_without_a_json_form_is_refused_too():
    with pytest.raises(ConfigurationError, match=r"annotates its return value as .*complex"):

        @activity
        def root(number: int) -> complex: ...


@pytest.mark.parametrize("annotation", [Any, object, "Any", "object"])
def test_any_type_is_left_as_it_comes(annotation):
    def echo(value):
        return value

    echo.__annotations__ = {"value": annotation, "return": annotation}
    assert activity(echo).durable.decode_input('{"a":[1]}') == {"a": [1]}


def test_annotations_that_are_not_defined_yet_are_resolved_on_use(monkeypatch):
    late = ModuleType("late")
    monkeypatch.setitem(sys.modules, "late", late)
    exec(  # noqa: S102  a module whose class comes after the function that names it
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom orchestrations import activity\n"
        "@activity\ndef pay(bill: Bill) -> Bill:\n    return bill\n",
        vars(late),
    )
    definition = registry.activity("pay")
    with pytest.raises(
        ConfigurationError, match="annotates its parameter 'bill' with 'Bill', which is not defined there"
    ):
        definition.decode_input("{}")
    exec("@dataclass\nclass Bill:\n    total: int\n", vars(late))  # noqa: S102
    assert definition.decode_input('{"total":3}') == late.Bill(3)


def test_a_type_imported_for_checkers_only_is_refused_on_use():
    definition = activity(shop.unresolvable).durable
    with pytest.raises(ConfigurationError, match=r"with 'UUID', which is not defined there\. Import it at run time"):
        definition.decode_input('"x"')


def test_the_context_may_be_imported_for_checkers_only():
    definition = orchestrator(shop.buy).durable
    assert definition.decode_input('{"number":"1","amount":"2"}') == shop.Order("1", Decimal(2))
    assert definition.decode_output('{"number":"1","paid":"2"}') == shop.Receipt("1", Decimal(2))


@pytest.mark.parametrize(
    ("annotation", "decoded"),
    [
        (Decimal, Decimal("1.5")),
        (Generator[Any, Any, Decimal], Decimal("1.5")),
        (Coroutine[Any, Any, Decimal], Decimal("1.5")),
        (Awaitable[Decimal], Decimal("1.5")),
        (Generator, "1.5"),
        (Iterator[Any], "1.5"),
        (inspect.Signature.empty, "1.5"),
    ],
)
def test_the_result_has_the_type_that_the_function_ends_with(annotation, decoded):
    def price(context):
        raise AssertionError

    price.__annotations__ = {} if annotation is inspect.Signature.empty else {"return": annotation}
    assert orchestrator(price).durable.decode_output('"1.5"') == decoded


def test_a_misfit_names_function_parameter_and_place():
    definition = activity(shop.charge).durable
    with pytest.raises(PayloadRejected) as caught:
        definition.decode_input('{"number":1,"amount":"2"}')
    assert str(caught.value) == (
        "activity 'charge': parameter 'order' can't be read as Order: Expected str, got int - at $.number. "
        "Send what the annotation says, or change it."
    )
    assert caught.value.path == "$.number"


def test_a_return_value_without_a_json_form_names_function_and_type():
    definition = activity(shop.charge).durable
    with pytest.raises(PayloadRejected, match=r"^activity 'charge': return value holds a value of the type .*Opaque"):
        definition.encode_output({"a": Opaque()})


def test_an_input_that_would_be_lost_is_refused():
    @activity
    def tick() -> None: ...

    assert tick.durable.encode_input(None) is None
    with pytest.raises(PayloadRejected, match="activity 'tick' takes no input, and was given a int"):
        tick.durable.encode_input(3)
