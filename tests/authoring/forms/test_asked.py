"""An unfit form of a question is refused where the orchestrator is declared, not when somebody is to answer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from orchestrations import orchestrator
from orchestrations.authoring.registry import registry
from orchestrations.errors import ConfigurationError


@dataclass
class Unfit:
    """Nobody can type an object of any kind."""

    thing: object


@dataclass
class Fit:
    """Anybody can type a number."""

    number: int


class Elsewhere:
    form = Unfit


@pytest.fixture(autouse=True)
def kept_apart():
    with registry.preserved():
        yield


def test_a_form_that_no_page_could_show_is_refused_with_its_line():
    with pytest.raises(ConfigurationError, match=r"test_asked\.py:\d+: The form of .*Unfit.*'thing'"):

        @orchestrator
        def asks(context):
            yield context.wait_for_external_event("approval", form=Unfit)


def test_a_form_of_another_name_or_of_the_function_around_is_found_too():
    local = Unfit
    with pytest.raises(ConfigurationError, match="Unfit"):

        @orchestrator
        def asks_for_an_attribute(context):
            yield context.wait_for_external_event("approval", form=Elsewhere.form)

    with pytest.raises(ConfigurationError, match="Unfit"):

        @orchestrator
        async def asks_for_a_local(context):
            await context.wait_for_external_event("approval", form=local)


def test_what_is_fit_computed_or_not_there_yet_is_let_through():
    @orchestrator
    def asks(context, chosen: str):
        yield context.wait_for_external_event("one", form=Fit)
        yield context.wait_for_external_event("two", form=Fit if chosen else Unfit)
        yield context.wait_for_external_event("three", form=NotYet)  # noqa: F821
        yield context.call_other(form=Unfit)

    assert asks.durable.name == "asks"
