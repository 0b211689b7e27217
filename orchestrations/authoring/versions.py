"""Versions: how they compare, which one a new instance gets, and which code an instance's version picks.

Code serves its own version and the older ones that no other code of that name is declared for. A version is that of the
decorator, or the worker's setting VERSION where the decorator has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.authoring.registry import Registry, registry
from orchestrations.authoring.version_order import version_key
from orchestrations.conf import get_config
from orchestrations.errors import VersionMismatch


def new_version(name: str, reference: object = None) -> str:
    """The version of a new instance that is given none; a parent's is not inherited.

    It is that of the function, where it is started by reference; else that of the newest code; else the setting
    DEFAULT_VERSION, and the worker's VERSION where that is not set.
    """
    declared = getattr(getattr(reference, "durable", None), "version", "")
    if not declared and registry.has_orchestrator(name):
        declared = registry.orchestrator(name).version
    config = get_config()
    return declared or (config.version if config.default_version is None else config.default_version)


@dataclass(frozen=True, slots=True)
class Choice:
    """The code that an instance runs on, or why none of this process's does."""

    definition: RegisteredOrchestrator | None
    mismatch: VersionMismatch | None = None


def choose_code(name: str, version: str, functions: Registry = registry) -> Choice:
    """Pick the code of an instance by its version and the setting VERSION_MATCH. Raises FunctionNotRegistered."""
    codes = functions.versions_of(name)
    config = get_config()
    for code in codes:
        if (code.version or config.version) == version:
            return Choice(code)
    wanted = version_key(version)
    keys = [version_key(code.version or config.version) for code in codes]
    if config.version_match == "none":
        return Choice(_nearest(codes, keys, wanted) or codes[max(range(len(codes)), key=keys.__getitem__)])
    fitting = [code for code, key in zip(codes, keys, strict=True) if key == wanted]
    if not fitting and config.version_match == "current-or-older":
        nearest = _nearest(codes, keys, wanted)
        fitting = [nearest] if nearest is not None else []
    if fitting:
        return Choice(fitting[0])
    own = [code.version or config.version for code in codes]
    return Choice(None, VersionMismatch(name, version, own, config.version_match))


def code_versions(functions: Registry = registry) -> dict[str, list[str]]:
    """The versions of every orchestrator's code here, by name, as other workers are told."""
    own = get_config().version
    return {name: [c.version or own for c in functions.versions_of(name)] for name in sorted(functions.orchestrators())}


def serves(versions: Sequence[str], version: str) -> bool:
    """Whether code of these versions would take an instance of that one, by the setting VERSION_MATCH."""
    match get_config().version_match:
        case "none":
            return bool(versions)
        case "strict":
            return any(version_key(own) == version_key(version) for own in versions)
        case _:
            return any(version_key(own) >= version_key(version) for own in versions)


def _nearest(
    codes: Sequence[RegisteredOrchestrator], keys: Sequence[tuple[int, Any]], wanted: tuple[int, Any]
) -> RegisteredOrchestrator | None:
    """The oldest code that is not older than what is wanted."""
    newer = [index for index, key in enumerate(keys) if key >= wanted]
    return codes[min(newer, key=keys.__getitem__)] if newer else None
