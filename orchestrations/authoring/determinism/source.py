"""A module's source: its functions, and what its names were imported from."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass
from functools import lru_cache

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file."""

    file: str
    tree: ast.Module
    imports: dict[str, str]
    """Dotted names by the names that they have in the module."""
    functions: dict[str, FunctionNode]
    """The module's own functions."""

    def line(self, number: int) -> str:
        """A line of the file."""
        return linecache.getline(self.file, number)

    def function(self, name: str, first_line: int) -> FunctionNode | None:
        """The function of that name whose decorators, or whose def, begin at that line."""
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode) and node.name == name:
                lines = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
                if min(lines) == first_line:
                    return node
        return None

    def imports_in(self, node: ast.AST) -> dict[str, str]:
        """What is imported inside a function."""
        return _imports(part for part in ast.walk(node) if isinstance(part, ast.stmt))

    def decorators(self, node: FunctionNode) -> set[str]:
        """The last parts of the names of a function's decorators."""
        names = set()
        for decorator in node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            names.add(target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", ""))
        return names


@lru_cache(maxsize=256)
def read_source(file: str) -> Source | None:
    """Parse a file; None where it can't be read, as code from a shell can't."""
    text = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    if not tree.body:
        return None
    functions = {node.name: node for node in _top_level(tree.body) if isinstance(node, FunctionNode)}
    return Source(file, tree, _imports(_top_level(tree.body)), functions)


def _top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements of a module, also those in its ``if``, ``try`` and ``with`` blocks."""
    statements: list[ast.stmt] = []
    for statement in body:
        statements.append(statement)
        if isinstance(statement, ast.If | ast.Try | ast.With):
            statements += _top_level([part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.stmt)])
    return statements


def _imports(statements: object) -> dict[str, str]:
    names: dict[str, str] = {}
    for statement in statements:  # type: ignore[attr-defined]
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.asname:
                    names[alias.asname] = alias.name
                else:
                    root = alias.name.partition(".")[0]
                    names[root] = root
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                names[alias.asname or alias.name] = f"{statement.module}.{alias.name}"
    return names
