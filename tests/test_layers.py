"""The architecture: pyproject.toml says which imports are allowed, and every module obeys."""

from __future__ import annotations

from importlinter.cli import lint_imports


def test_imports_obey_the_contracts(capsys):
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out
