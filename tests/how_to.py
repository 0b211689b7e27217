"""The code of how-to guides, for tests that run it as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

GUIDES = Path(__file__).parents[1] / "docs" / "how-to"


def blocks(guide: str, language: str) -> list[str]:
    """The blocks of code in that language, in order."""
    text = (GUIDES / f"{guide}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(guide: str, language: str) -> str:
    """The one that there is."""
    [code] = blocks(guide, language)
    return code


def run(code: str, guide: str) -> dict[str, Any]:
    """Run a program; its names afterwards."""
    names: dict[str, Any] = {"__name__": "how_to"}
    exec(compile(code, str(GUIDES / f"{guide}.md"), "exec"), names)  # noqa: S102 - it is the documentation's
    return names
