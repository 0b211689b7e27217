"""Links from a line of code to where a team reads its source: a repository's pages, or an editor's address."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from orchestrations.conf import get_config

PLACE = re.compile(r"(?P<path>.+):(?P<line>\d+)(?: in .*)?$")


def link_to(place: str) -> str:
    """The address of ``orders/flows.py:48 in order_flow`` by the setting SOURCE_LINK; empty where there is none."""
    found = PLACE.match(place)
    return source_link(found["path"], int(found["line"])) if found else ""


def source_link(path: str, line: int) -> str:
    """The address of that line; a path outside the project has none."""
    template = get_config().source_link
    inside = project_path(path)
    if not template or not inside:
        return ""
    return template.replace("{path}", quote(inside)).replace("{line}", str(line))


def project_path(path: str) -> str:
    """A file's path in the project, with slashes; empty for one that is outside of it."""
    given = path.replace("\\", "/")
    if given.startswith(".."):
        return ""
    root = f"{_root()}/"
    if given.startswith(root):
        return given.removeprefix(root)
    return "" if given.startswith("/") or given[1:2] == ":" else given


@cache
def _root() -> str:
    return Path.cwd().as_posix()
