"""scripts/setup: what it says to someone whose machine lacks something."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what the script works on; its lock asks for nothing."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    (tmp_path / "requirements" / "runtime.txt").write_text("")
    (tmp_path / "requirements" / "dev.txt").write_text("")
    return tmp_path


def run_setup(clone: Path, lock: str = "dev", *, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/setup", lock],
        cwd=clone, env={"PATH": "/usr/bin:/bin", "PYTHON": python}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def interpreter(clone: Path, name: str, *, refuses: str) -> str:
    """A Python that fails on a statement which mentions that word."""
    path = clone / name
    path.write_text(f'#!/bin/sh\ncase "$2" in *{refuses}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_machine_without_python_is_told_what_it_needs(clone):
    refused = run_setup(clone, python="no-such-python")

    assert refused.returncode == 1
    assert refused.stderr == "Python 3.11 or newer is needed: install it, or name one with PYTHON=/path/to/python.\n"


def test_a_python_that_is_too_old_does_not_count(clone):
    refused = run_setup(clone, python=interpreter(clone, "python3.9", refuses="version_info"))

    assert refused.stderr.startswith("Python 3.11 or newer is needed")


def test_a_python_without_its_venv_module_is_named_with_the_remedy(clone):
    python = interpreter(clone, "python3", refuses="ensurepip")

    refused = run_setup(clone, python=python)

    assert refused.returncode == 1
    assert refused.stderr == (
        f"{python} lacks its venv module: install it (on Debian and Ubuntu: apt-get install python3-venv).\n"
    )


def test_an_installation_that_fails_leaves_no_stamp_and_says_how_to_go_on(clone):
    (clone / "requirements" / "dev.txt").write_text("./no-such-package --hash=sha256:00\n")

    refused = run_setup(clone)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("Installing requirements/dev.txt failed")
    assert not (clone / ".venv" / ".dev").exists()


def test_a_set_up_that_worked_leaves_its_stamps(clone):
    done = run_setup(clone)

    assert done.returncode == 0, done.stderr
    assert (clone / ".venv" / ".dev").exists()
    assert (clone / ".venv" / ".runtime").exists()


def test_a_broken_environment_is_made_anew(clone):
    run_setup(clone)
    python = clone / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")

    done = run_setup(clone)

    assert done.returncode == 0, done.stderr
    assert subprocess.run([python, "--version"], check=False).returncode == 0
