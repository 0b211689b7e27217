"""What the names in one function stand for: what it binds itself, what the module imports, which of them are sets."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from orchestrations.authoring.determinism.source import Source

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
BUILTINS = frozenset({"open", "input"})
SET_OPERATORS = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})


class Scope:
    """The names of one function."""

    def __init__(self, source: Source, node: FunctionNode) -> None:
        self._source = source
        self.bound = _bound(node)
        outside = {name: dotted for name, dotted in source.imports.items() if name not in self.bound}
        self._imports = outside | source.imports_in(node)
        self._sets = _set_names(node)

    def dotted(self, node: ast.expr) -> str:
        """The full name of what an expression of names stands for; empty for anything else.

        What is made by calling a class has that class's names: ``Path(one).read_text`` is ``pathlib.Path.read_text``.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
            if isinstance(node, ast.Call) and _last_name(node.func)[:1].isupper():
                node = node.func
        if not isinstance(node, ast.Name):
            return ""
        if node.id in self._imports:
            root = self._imports[node.id]
        elif node.id in BUILTINS and not (node.id in self.bound or node.id in self._source.functions):
            root = f"builtins.{node.id}"
        else:
            return ""
        return ".".join([root, *reversed(parts)])

    def is_builtin(self, node: ast.expr, names: frozenset[str]) -> bool:
        """Whether an expression is the name of one of these functions of Python's own."""
        return isinstance(node, ast.Name) and node.id in names and node.id not in self.bound

    def is_set(self, node: ast.expr) -> bool:
        """Whether an expression is a set, as far as its words tell."""
        if isinstance(node, ast.Name):
            return node.id in self._sets
        return _is_set(node, self._sets)


def is_manager(node: ast.Attribute) -> bool:
    """Whether the attribute is a model's way to its rows. Models are classes, so their names begin with a capital."""
    if node.attr not in ("objects", "_default_manager", "_base_manager"):
        return False
    owner = node.value
    if isinstance(owner, ast.Call):
        return _last_name(owner.func) in ("get_model", "get_user_model")
    return _last_name(owner)[:1].isupper()


def parts_of(node: FunctionNode) -> Iterator[ast.AST]:
    """The parts of a function without those of the functions inside it."""
    pending: list[ast.AST] = list(node.body)
    while pending:
        part = pending.pop()
        yield part
        if not isinstance(part, FunctionNode | ast.Lambda):
            pending += ast.iter_child_nodes(part)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _bound(node: FunctionNode) -> set[str]:
    """Every name that the function or one inside it binds, but for imports."""
    bound: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.arg):
            bound.add(part.arg)
        elif isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            bound.add(part.id)
        elif isinstance(part, NAMED) and part is not node and part.name:
            bound.add(part.name)
    return bound


def _set_names(node: FunctionNode) -> frozenset[str]:
    """Local names that only ever stand for sets."""
    values: dict[ast.expr, ast.expr | None] = {}
    for part in ast.walk(node):
        if isinstance(part, ast.Assign):
            values.update(dict.fromkeys(part.targets, part.value))
        elif isinstance(part, ast.AnnAssign | ast.NamedExpr):
            values[part.target] = part.value
        elif isinstance(part, ast.AugAssign) and isinstance(part.op, SET_OPERATORS):
            values[part.target] = ast.Set([])
    names: frozenset[str] = frozenset()
    for _ in range(2):  # a set that is made of another one is known in the second round
        sets: set[str] = set()
        others: set[str] = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                value = values.get(part)
                (sets if value is not None and _is_set(value, names) else others).add(part.id)
        names = frozenset(sets - others)
    return names


def _is_set(node: ast.expr, names: frozenset[str]) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, SET_OPERATORS):
        return any(_is_set(side, names) or _is_name(side, names) for side in (node.left, node.right))
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS:
            return _is_set(node.func.value, names) or _is_name(node.func.value, names)
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset")
    return isinstance(node, ast.Set | ast.SetComp)


def _is_name(node: ast.expr, names: frozenset[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names
