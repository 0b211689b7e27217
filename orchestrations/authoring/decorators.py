"""``@orchestrator``, ``@activity`` and ``@entity``: they register a function (or class) and return that same one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction

from orchestrations.authoring.activities import ActivityDefinition
from orchestrations.authoring.entities import entity_definition, entity_name_problem
from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.authoring.registry import registry
from orchestrations.authoring.signatures import (
    Conversion,
    activity_signature,
    orchestrator_signature,
    place_of,
    refusal,
)
from orchestrations.errors import ConfigurationError
from orchestrations.limits import NAME_LENGTH, VERSION_LENGTH

Function = TypeVar("Function", bound=Callable[..., Any])

BUILT_IN_PREFIX = "durable."
NOT_IN_NAMES = frozenset("/\\#?")  # names are part of URLs


@overload
def orchestrator(function: Function, /) -> Function: ...
@overload
def orchestrator(
    *, name: str | None = None, version: str = "", wait_for_open_tasks: bool = False
) -> Callable[[Function], Function]: ...
def orchestrator(
    function: Any = None, /, *, name: str | None = None, version: str = "", wait_for_open_tasks: bool = False
) -> Any:
    """Register an orchestrator: a generator, ``async def`` or plain function of ``(context)`` or ``(context, input)``.

    The function comes back unchanged, with its definition as the attribute ``durable``. ``name`` is the function's own
    unless given; ``version`` is what new instances are marked with. An instance is Completed as soon as its code has
    returned, whatever is still open; with ``wait_for_open_tasks`` once every activity, sub-orchestration and timer
    that it began has ended, well or badly.

    Raises ConfigurationError for a function that can't be run as one, for a name that is taken, and for a question to
    people whose form no page could show.
    """

    def register(function: Function) -> Function:
        chosen = _name("orchestrator", function, name)
        if not _is_version(version):
            problem = f"has a version that is no line of at most {VERSION_LENGTH} characters"
            raise refusal("orchestrator", chosen, function, problem, 'Pass one such as version="2.0".')
        signature = orchestrator_signature(function, chosen)
        conversion = Conversion("orchestrator", chosen, function, signature.input)
        conversion.compile_if_resolvable()
        _check_forms(function)
        definition = RegisteredOrchestrator.of(
            chosen, function, version, conversion, wait_for_open_tasks=wait_for_open_tasks
        )
        registry.add_orchestrator(definition)
        function.__dict__["durable"] = definition
        return function

    return register if function is None else register(function)


@overload
def activity(function: Function, /) -> Function: ...
@overload
def activity(
    *,
    name: str | None = None,
    timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    transactional: bool = False,
    process: bool = False,
) -> Callable[[Function], Function]: ...
def activity(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    transactional: bool = False,
    process: bool = False,
) -> Any:
    """Register an activity: an ordinary or ``async`` function of ``()``, ``(input)`` or ``(context, input)``.

    The function comes back unchanged, with its definition as the attribute ``durable``. ``timeout`` is in seconds, of
    one run; a run that sends no heartbeat for ``heartbeat_timeout`` seconds fails too. An activity runs at least once;
    a ``transactional`` one runs in the transaction that records its completion, so that what it writes to the same
    database is written exactly once. One with ``process`` runs in a process beside the worker's, which is ended when
    the time is over: for what computes long, or may hang or crash. Raises ConfigurationError for a function that can't
    be run as one, and for a name that is taken.
    """

    def register(function: Function) -> Function:
        chosen = _name("activity", function, name)
        signature = activity_signature(function, chosen)
        is_async = iscoroutinefunction(function)
        if transactional and is_async:
            problem = "is transactional and async, and Django has no async transactions"
            raise refusal("activity", chosen, function, problem, "Make it an ordinary function.")
        if transactional and process:
            problem = "is transactional and has a process of its own, which can't share the worker's transaction"
            raise refusal("activity", chosen, function, problem, "Choose one of the two.")
        conversion = Conversion("activity", chosen, function, signature.input)
        conversion.compile_if_resolvable()
        definition = ActivityDefinition(
            name=chosen,
            function=function,
            is_async=is_async,
            takes_context=signature.takes_context,
            takes_input=signature.input is not None,
            timeout_seconds=_seconds(timeout, "timeout", chosen, function),
            heartbeat_timeout_seconds=_seconds(heartbeat_timeout, "heartbeat timeout", chosen, function),
            transactional=transactional,
            process=process,
            conversion=conversion,
        )
        registry.add_activity(definition)
        function.__dict__["durable"] = definition
        return function

    return register if function is None else register(function)


@overload
def entity(function: Function, /) -> Function: ...
@overload
def entity(*, name: str | None = None) -> Callable[[Function], Function]: ...
def entity(function: Any = None, /, *, name: str | None = None) -> Any:
    """Register an entity: a function of ``(context)`` or ``(context, input)``, or a class whose methods are operations.

    It comes back unchanged, with its definition as the attribute ``durable``. Names ignore case. Operations are short:
    they run in the worker's loop, one after another for each entity; what takes long belongs in an orchestration that
    the entity starts. Raises ConfigurationError for what can't be run as one, and for a name that is taken.
    """

    def register(function: Function) -> Function:
        chosen = _name("entity", function, name).lower()
        if problem := entity_name_problem(chosen):
            raise ConfigurationError(f"The entity at {place_of(function)} can't have that name. {problem}")
        definition = entity_definition(chosen, function)
        registry.add_entity(definition)
        function.durable = definition  # type: ignore[attr-defined]
        return function

    return register if function is None else register(function)


def _name(kind: str, function: Any, name: str | None) -> str:
    """The name to register under, once the function has turned out to be one that can be registered."""
    if not (inspect.isfunction(function) or (kind == "entity" and inspect.isclass(function))):
        raise ConfigurationError(
            f"@{kind} was put on {type(function).__qualname__} {function!r:.100}, which is no function. "
            f'Decorate a function; options are given by name, as in @{kind}(name="...").'
        )
    declared: Any = vars(function).get("durable")
    if registry.holds(declared) and declared.function is function:
        problem = f"is declared already, as the {declared.kind} {declared.name!r}"
        raise refusal(kind, name or function.__name__, function, problem, "Write a second function that calls it.")
    chosen = function.__name__ if name is None else name
    if not 1 <= len(chosen) <= NAME_LENGTH or not _is_plain(chosen):
        raise ConfigurationError(
            f"The {kind} at {place_of(function)} can't have the name {chosen!r:.100}. A name has 1 to {NAME_LENGTH} "
            "printable characters, none of / \\ # ? and no @ in front."
        )
    if chosen.casefold().startswith(BUILT_IN_PREFIX):
        raise refusal(
            kind, chosen, function, "has a name of the engine's own", f"Begin it without {BUILT_IN_PREFIX!r}."
        )
    return chosen


def _check_forms(function: Callable[..., Any]) -> None:
    """Refuse a question whose form no page could show. Only code that passes a ``form`` is read, and loads forms."""
    if any("form" in names for names in function.__code__.co_consts if isinstance(names, tuple)):
        from orchestrations.authoring.forms.asked import check_forms

        check_forms(function)


def _is_version(version: object) -> bool:
    return isinstance(version, str) and len(version) <= VERSION_LENGTH and version.isprintable()


def _is_plain(name: str) -> bool:
    return name.isprintable() and not NOT_IN_NAMES.intersection(name) and name[0] != "@" and name == name.strip()


def _seconds(timeout: float | timedelta | None, what: str, name: str, function: Callable[..., Any]) -> float | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not 0 < seconds < math.inf:
        problem = f"has the {what} {timeout!r:.100}"
        raise refusal("activity", name, function, problem, "Pass a positive number of seconds, or a timedelta.")
    return float(seconds)
