"""Makes one file of the dashboard's modules and one of its style sheets, for production.

Their sources are small files, which a browser can load as they are and does where the site is developed. Joined and
minified, they are a third smaller when compressed, and a page asks for four files instead of thirty.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rcssmin import cssmin
from rjsmin import jsmin

Read = Callable[[str], str]  # the text of the source of that name

_STYLE_IMPORT = re.compile(r'^@import "\./(?P<name>[\w-]+\.css)";\n', re.MULTILINE)
_IMPORT = re.compile(r'^import (?:(?P<names>\{ \w+(?:, \w+)* \}) from )?"\./(?P<module>\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|function|async function) (?P<name>\w+))", re.MULTILINE)
_OTHER_SYNTAX = re.compile(r"^(?:import|export)\b.*|\bimport\(.*", re.MULTILINE)


class BundleError(ValueError):
    """A module uses syntax that bundles leave out, or modules import each other in a circle."""


def style_sheet(name: str, read: Read) -> str:
    """The style sheet ``name``, with what it imports in the place of each ``@import "./….css";``."""
    return str(cssmin(_STYLE_IMPORT.sub(lambda found: read(found["name"]), read(name))))


def script(name: str, read: Read) -> str:
    """The module ``name`` after all that it imports, each once and in the order in which a browser runs them.

    Each module becomes a function of its own, so that names never meet. Modules import with ``import "./….js";`` and
    ``import { … } from "./….js";``, and export ``const`` and functions by name. Raises BundleError at all else.
    """
    begun: list[str] = []
    scopes: dict[str, str] = {}

    def add(module: str) -> None:
        if module in begun:
            if module not in scopes:
                raise BundleError(f"{module}.js imports itself by way of {begun[-1]}.js.")
            return
        begun.append(module)
        source = read(f"{module}.js")
        for found in _IMPORT.finditer(source):
            add(found["module"])
        scopes[module] = _scope(module, source)

    add(name.removesuffix(".js"))
    return str(jsmin("".join(scopes.values())))


def _scope(module: str, source: str) -> str:
    exported = ", ".join(found["name"] for found in _EXPORT.finditer(source))
    body = _EXPORT.sub("", _IMPORT.sub(_binding, source))
    if other := _OTHER_SYNTAX.search(body):
        raise BundleError(f"{module}.js: bundles know no such syntax: {other.group()}")
    return f"const ${module} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


def _binding(found: re.Match[str]) -> str:
    return f"const {found['names']} = ${found['module']};\n" if found["names"] else ""
