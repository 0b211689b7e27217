"""Which forms an orchestrator asks people for, as its source says: so that an unfit one is refused when it is declared,
and not when the question is put."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from orchestrations.authoring.determinism.source import read_source
from orchestrations.authoring.forms.binding import describe_form
from orchestrations.errors import ConfigurationError

VERB = "wait_for_external_event"


def check_forms(function: Callable[..., Any]) -> None:
    """Raise ConfigurationError, with the line, for a form that no page could show.

    Looks at names that exist now; what is computed, or defined further down, is looked at when it is asked for.
    """
    code = function.__code__
    source = read_source(code.co_filename)
    node = source.function(function.__name__, code.co_firstlineno) if source is not None else None
    for keyword in _forms_in(node) if node is not None else ():
        declared = _value_of(keyword.value, function)
        if declared is None:
            continue
        try:
            describe_form(declared)
        except ConfigurationError as error:
            raise ConfigurationError(f"{code.co_filename}:{keyword.value.lineno}: {error}") from error


def _forms_in(node: ast.AST) -> Iterator[ast.keyword]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == VERB:
            yield from (keyword for keyword in call.keywords if keyword.arg == "form")


def _value_of(expression: ast.expr, function: Callable[..., Any]) -> Any:
    """What a name, or a name's attribute, stands for in the function; None where that can't be told."""
    if isinstance(expression, ast.Attribute):
        owner = _value_of(expression.value, function)
        return None if owner is None else getattr(owner, expression.attr, None)
    if not isinstance(expression, ast.Name):
        return None
    names = function.__code__.co_freevars
    if expression.id in names:
        try:
            return (function.__closure__ or ())[names.index(expression.id)].cell_contents
        except ValueError:  # not assigned yet
            return None
    return None if expression.id in function.__code__.co_varnames else function.__globals__.get(expression.id)
