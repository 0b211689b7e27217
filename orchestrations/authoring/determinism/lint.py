"""Reading an orchestrator's source for what breaks the rules of deterministic code.

It reads the function and those of the same module that it calls, and runs nothing. It finds the common cases; what it
can't see (a call through a variable, say) is left to the guard at run time and to replay.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from orchestrations.authoring.determinism.rules import RULES, Rule, is_ignored, rule_of
from orchestrations.authoring.determinism.source import Source, read_source

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
DURABLE_TASKS = frozenset(
    {
        "call_activity", "call_activity_with_retry", "call_sub_orchestrator", "call_sub_orchestrator_with_retry",
        "call_entity", "call_http", "create_timer", "wait_for_external_event", "task_all", "task_any",
        "lock_entities",
    }
)  # fmt: skip
ORDER_MATTERS = frozenset({"list", "tuple", "enumerate", "iter", "map", "zip", "filter", "reversed"})


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks a rule."""

    file: str
    line: int
    code: str
    function: str
    detail: str = field(compare=False)

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
    return list(_lint(code.co_filename, code.co_name, code.co_firstlineno))


@lru_cache(maxsize=1_024)
def _lint(file: str, name: str, first_line: int) -> tuple[Finding, ...]:
    source = read_source(file)
    node = source.function(name, first_line) if source is not None else None
    if source is None or node is None:
        return ()
    findings: set[Finding] = set()
    seen: set[str] = set()
    open_functions = [(node, {0})]
    while open_functions:
        node, contexts = open_functions.pop()
        if f"{node.name}:{node.lineno}" in seen:
            continue
        seen.add(f"{node.name}:{node.lineno}")
        reader = _Reader(source, node, contexts)
        findings.update(reader.findings())
        open_functions += reader.called
    return tuple(sorted(findings))


class _Reader(ast.NodeVisitor):
    """Reads one function."""

    def __init__(self, source: Source, node: FunctionNode, contexts: set[int]) -> None:
        self._source = source
        self._node = node
        arguments = [*node.args.posonlyargs, *node.args.args]
        self._contexts = {argument.arg for index, argument in enumerate(arguments) if index in contexts}
        self._locals = _assigned(node) | {argument.arg for argument in [*arguments, *node.args.kwonlyargs]}
        outside = {name: dotted for name, dotted in source.imports.items() if name not in self._locals}
        self._imports = outside | source.imports_in(node)
        self._sets = _set_names(node)
        self._found: list[Finding] = []
        self.called: list[tuple[FunctionNode, set[int]]] = []

    def findings(self) -> Iterator[Finding]:
        """What was found, without what a comment silences."""
        for statement in self._node.body:
            self.visit(statement)
        self._find_unused()
        return (f for f in self._found if not is_ignored(self._source.line(f.line), f.code))

    # Names -------------------------------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr == "objects" and isinstance(node.value, ast.Name | ast.Attribute):
            self._add(node, "database", ast.unparse(node))
            return
        if not self._name(node):
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._name(node)

    def _name(self, node: ast.expr) -> bool:
        """Note a name that breaks a rule. Whether it was one of an import or builtin, and so read whole."""
        dotted = self._dotted(node)
        rule = rule_of(dotted) if dotted else None
        if rule is not None:
            self._add(node, rule.code, ast.unparse(node))
        return bool(dotted)

    def _dotted(self, node: ast.expr) -> str:
        """The full name of what an expression of names stands for; empty for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        if node.id in self._imports:
            root = self._imports[node.id]
        elif node.id in ("open", "input") and node.id not in self._locals | self._source.functions.keys():
            root = f"builtins.{node.id}"
        else:
            return ""
        return ".".join([root, *reversed(parts)])

    # Calls -------------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id not in self._locals:
            self._call_by_name(node, node.func.id)
        self.generic_visit(node)

    def _call_by_name(self, node: ast.Call, name: str) -> None:
        called = self._source.functions.get(name)
        if called is not None:
            if "activity" in self._source.decorators(called):
                self._add(node, "direct-call", f"{name}(...)")
            elif not self._source.decorators(called) & {"orchestrator", "entity"}:
                self.called.append((called, {i for i, arg in enumerate(node.args) if self._is_context(arg)}))
        if name in ORDER_MATTERS:
            for argument in node.args:
                self._through(argument)

    def visit_Await(self, node: ast.Await) -> None:
        if isinstance(node.value, ast.Call):
            dotted = self._dotted(node.value.func)
            hands_on = any(self._is_context(argument) for argument in node.value.args)
            if dotted and not hands_on and not dotted.startswith("orchestrations.") and rule_of(dotted) is None:
                self._add(node, "await", ast.unparse(node.value.func))
        self.generic_visit(node)

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
            self._add(node, "not-awaited", ast.unparse(node.value.func))  # type: ignore[attr-defined]
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        is_resumable = isinstance(self._node, ast.AsyncFunctionDef) or _yields(self._node)
        if is_resumable and self._is_durable_task(node.value):
            self._add(node, "not-awaited", ast.unparse(node.value.func))  # type: ignore[union-attr]
        self.generic_visit(node)

    def _find_unused(self) -> None:
        """A task under a name that is never read."""
        read = {n.id for n in ast.walk(self._node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for node in ast.walk(self._node):
            if isinstance(node, ast.Assign) and self._is_durable_task(node.value):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                if len(names) == len(node.targets) and not read.intersection(names):
                    self._add(node, "not-awaited", ", ".join(names))

    # Sets --------------------------------------------------------------------------------------------------------

    def visit_For(self, node: ast.For) -> None:
        self._through(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._through(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._through(node.value)
        self.generic_visit(node)

    def _through(self, node: ast.expr) -> None:
        if _is_set(node) or (isinstance(node, ast.Name) and node.id in self._sets):
            self._add(node, "set-order", ast.unparse(node)[:60])

    # -------------------------------------------------------------------------------------------------------------

    def _add(self, node: ast.AST, code: str, detail: str) -> None:
        line = getattr(node, "lineno", self._node.lineno)
        self._found.append(Finding(self._source.file, line, code, self._node.name, detail))


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left) or _is_set(node.right)
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return is_call or isinstance(node, ast.Set | ast.SetComp)


def _set_names(node: FunctionNode) -> set[str]:
    """Local names that only ever stand for sets."""
    sets: set[str] = set()
    others: set[str] = set()
    for name, value in _assignments(node):
        (sets if value is not None and _is_set(value) else others).add(name)
    return sets - others


def _assigned(node: FunctionNode) -> set[str]:
    return {name for name, _ in _assignments(node)}


def _assignments(node: FunctionNode) -> Iterable[tuple[str, ast.expr | None]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Assign):
            for target in part.targets:
                if isinstance(target, ast.Name):
                    yield target.id, part.value
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            continue
        elif isinstance(part, ast.AnnAssign | ast.NamedExpr) and isinstance(part.target, ast.Name):
            yield part.target.id, part.value
        elif isinstance(part, ast.For | ast.comprehension) and isinstance(part.target, ast.Name):
            yield part.target.id, None


def _yields(node: FunctionNode) -> bool:
    return any(isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(node))
