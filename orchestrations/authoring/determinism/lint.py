"""Reading an orchestrator's source for what breaks the rules of deterministic code.

It reads the function and those of the same module that it calls, and runs nothing. It finds the common cases; what it
can't see (a call through a variable, say) is left to the guard at run time and to replay.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from orchestrations.authoring.determinism.rules import RULES, Rule, is_ignored, is_left_out, rule_of
from orchestrations.authoring.determinism.scopes import FunctionNode, Scope, is_manager, parts_of
from orchestrations.authoring.determinism.source import Source, read_source

DURABLE_TASKS = frozenset(
    {
        "call_activity", "call_activity_with_retry", "call_sub_orchestrator", "call_sub_orchestrator_with_retry",
        "call_entity", "call_http", "create_timer", "wait_for_external_event", "task_all", "task_any",
        "lock_entities",
    }
)  # fmt: skip
ORDER_MATTERS = frozenset({"list", "tuple", "enumerate", "iter", "map", "zip", "filter", "reversed"})
ORDER_IS_LOST = frozenset({"sorted", "set", "frozenset", "any", "all", "sum", "min", "max", "len"})
Contexts = frozenset[int | str]  # the positions and names of parameters that are the orchestrator's context


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks a rule."""

    file: str
    line: int
    code: str
    function: str
    detail: str = field(compare=False)
    is_left_open: bool = field(compare=False, default=False)
    """Whether it is work that is begun and not awaited, which is in order where the end waits for open tasks."""

    @property
    def rule(self) -> Rule:
        """The rule that is broken."""
        return RULES[self.code]

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return (
            f"{self.file}:{self.line}: {self.code}: {self.function} {self.rule.deed}{detail}. Use {self.rule.instead}."
        )


def lint(function: Callable[..., Any]) -> list[Finding]:
    """What breaks a rule in an orchestrator's source, by file and line; nothing where there is no source to read."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if code is None:
        return []
    waits_for_all = getattr(getattr(plain, "durable", None), "wait_for_open_tasks", False)
    return list(_lint(code.co_filename, code.co_name, code.co_firstlineno, waits_for_all))


@lru_cache(maxsize=1_024)
def _lint(file: str, name: str, first_line: int, waits_for_all: bool) -> tuple[Finding, ...]:
    source = read_source(file)
    node = source.function(name, first_line) if source is not None else None
    if source is None or node is None:
        return ()
    findings: set[Finding] = set()
    seen: set[tuple[str, int, Contexts]] = set()
    open_functions: list[tuple[FunctionNode, Contexts]] = [(node, frozenset({0}))]
    while open_functions:
        node, contexts = open_functions.pop()
        if (node.name, node.lineno, contexts) in seen:
            continue
        seen.add((node.name, node.lineno, contexts))
        reader = _Reader(source, node, contexts)
        findings.update(f for f in reader.findings() if not (waits_for_all and f.is_left_open))
        open_functions += reader.called
    return tuple(sorted(findings))


class _Reader(ast.NodeVisitor):
    """Reads one function."""

    def __init__(self, source: Source, node: FunctionNode, contexts: Contexts) -> None:
        self._source = source
        self._node = node
        self._inner: FunctionNode = node  # that of the functions inside it which is being read, or itself
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        self._contexts = {a.arg for index, a in enumerate(arguments) if index in contexts or a.arg in contexts}
        self._scope = Scope(source, node)
        self._harmless: set[ast.comprehension] = set()  # whose order nobody sees
        self._found: list[Finding] = []
        self.called: list[tuple[FunctionNode, Contexts]] = []

    def findings(self) -> Iterator[Finding]:
        """What was found, without what a comment silences."""
        for statement in self._node.body:
            self.visit(statement)
        self._find_unused()
        return (f for f in self._found if not is_ignored(self._source.line(f.line), f.code))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._read_inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._read_inside(node)

    def _read_inside(self, node: FunctionNode) -> None:
        outer, self._inner = self._inner, node
        self.generic_visit(node)
        self._inner = outer

    # Names -------------------------------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if is_manager(node):
            self._add(node, "database", ast.unparse(node))
        elif not self._name(node) or isinstance(node.value, ast.Call):
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._name(node)

    def _name(self, node: ast.expr) -> bool:
        """Note a name that breaks a rule. Whether it was one of an import or builtin, and so read whole."""
        dotted = self._scope.dotted(node)
        rule = rule_of(dotted) if dotted else None
        if rule is not None:
            self._add(node, rule.code, ast.unparse(node))
        return bool(dotted)

    # Calls -------------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id not in self._scope.bound:
            self._call_by_name(node, node.func.id)
        if isinstance(node.func, ast.Attribute):
            self._call_of_attribute(node, node.func)
        code = is_left_out(self._scope.dotted(node.func), len(node.args), {word.arg for word in node.keywords})
        if code and not any(isinstance(argument, ast.Starred) for argument in node.args):
            self._add(node, code, ast.unparse(node))
        self.generic_visit(node)

    def _call_by_name(self, node: ast.Call, name: str) -> None:
        called = self._source.functions.get(name)
        if called is not None:
            if "activity" in self._source.decorators(called):
                self._add(node, "direct-call", f"{name}(...)")
            elif not self._source.decorators(called) & {"orchestrator", "entity"}:
                self.called.append((called, self._handed_on(node)))
        if name in ORDER_MATTERS:
            for argument in node.args:
                self._through(argument)
        if name in ORDER_IS_LOST:
            for argument in node.args:
                if isinstance(argument, ast.GeneratorExp | ast.ListComp):
                    self._let_be(argument)

    def _call_of_attribute(self, node: ast.Call, function: ast.Attribute) -> None:
        """``", ".join(a_set)`` and ``a_set.pop()``."""
        if function.attr == "join" and isinstance(function.value, ast.Constant):
            for argument in node.args:
                self._through(argument)
        elif function.attr == "pop" and not node.args:
            self._through(function.value)

    def visit_Await(self, node: ast.Await) -> None:
        if isinstance(node.value, ast.Call):
            dotted = self._scope.dotted(node.value.func)
            hands_on = bool(self._handed_on(node.value))
            if dotted and not hands_on and not dotted.startswith("orchestrations.") and rule_of(dotted) is None:
                self._add(node, "await", ast.unparse(node.value.func))
        self.generic_visit(node)

    def _handed_on(self, call: ast.Call) -> Contexts:
        """The positions and names of the arguments that are the context."""
        positions = (index for index, argument in enumerate(call.args) if self._is_context(argument))
        names = (word.arg for word in call.keywords if word.arg and self._is_context(word.value))
        return frozenset([*positions, *names])

    def _is_context(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._contexts

    def _is_durable_task(self, node: ast.expr | None) -> bool:
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in DURABLE_TASKS
            and self._is_context(node.func.value)
        )

    # Tasks that nobody waits for -------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        if self._is_durable_task(node.value):
            self._add(node, "not-awaited", ast.unparse(node.value.func), is_left_open=True)  # type: ignore[attr-defined]
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        is_resumable = isinstance(self._inner, ast.AsyncFunctionDef) or _yields(self._inner)
        if is_resumable and self._is_durable_task(node.value):
            self._add(node, "not-awaited", ast.unparse(node.value.func))  # type: ignore[union-attr]
        self.generic_visit(node)

    def _find_unused(self) -> None:
        """A task under a name that is never read."""
        read = {n.id for n in ast.walk(self._node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for node in ast.walk(self._node):
            if isinstance(node, ast.Assign | ast.AnnAssign) and self._is_durable_task(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                if len(names) == len(targets) and not read.intersection(names):
                    self._add(node, "not-awaited", ", ".join(names), is_left_open=True)

    # Sets --------------------------------------------------------------------------------------------------------

    def visit_For(self, node: ast.For) -> None:
        self._through(node.iter)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._let_be(node)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node not in self._harmless:
            self._through(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._through(node.value)
        self.generic_visit(node)

    def _let_be(self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp) -> None:
        """What goes through a set only to lose its order again, unless it acts on the way."""
        if not any(isinstance(part, ast.Name) and part.id in self._contexts for part in ast.walk(node)):
            self._harmless.update(node.generators)

    def _through(self, node: ast.expr) -> None:
        if self._scope.is_set(node):
            self._add(node, "set-order", ast.unparse(node)[:60])

    # -------------------------------------------------------------------------------------------------------------

    def _add(self, node: ast.AST, code: str, detail: str, *, is_left_open: bool = False) -> None:
        line = getattr(node, "lineno", self._node.lineno)
        self._found.append(Finding(self._source.file, line, code, self._node.name, detail, is_left_open))


def _yields(node: FunctionNode) -> bool:
    return any(isinstance(part, ast.Yield | ast.YieldFrom) for part in parts_of(node))
