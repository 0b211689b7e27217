"""Finding the code of an instance among the functions of this worker, by its name and version."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.authoring.registry import registry
from orchestrations.authoring.versions import choose_code
from orchestrations.conf import get_config
from orchestrations.core.entity_ids import is_entity_id
from orchestrations.errors import FunctionNotRegistered
from orchestrations.runtime.guard import CodeGuard
from orchestrations.store.contract import ClaimedInstance


class CodeUnavailable(Exception):
    """This worker may not run the instance, which is left to others. ``reason`` is what it waits for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def code_of(claimed: ClaimedInstance) -> RegisteredOrchestrator:
    """The code that the instance runs on here.

    Raises CodeUnavailable where the settings leave it to other workers; where they let it fail, FunctionNotRegistered
    and VersionMismatch.
    """
    config = get_config()
    try:
        choice = choose_code(claimed.name, claimed.version)
    except FunctionNotRegistered:
        if config.unknown_orchestrator == "fail":
            raise
        raise CodeUnavailable(f"no worker has the code of orchestrator {claimed.name}") from None
    if choice.definition is not None:
        return _guarded(choice.definition) if config.determinism_guard else choice.definition
    assert choice.mismatch is not None
    if config.version_mismatch == "fail":
        raise choice.mismatch
    raise CodeUnavailable(_waits_for(claimed))


@lru_cache(maxsize=1_024)
def _guarded(definition: RegisteredOrchestrator) -> RegisteredOrchestrator:
    return replace(definition, watch=CodeGuard(definition.name))


def replaying_code(name: str, version: str) -> RegisteredOrchestrator:
    """The code that a history of that version is to be replayed with. Raises FunctionNotRegistered, VersionMismatch."""
    choice = choose_code(name, version)
    if choice.mismatch is not None:
        raise choice.mismatch
    assert choice.definition is not None
    return choice.definition


def lacks_code(claimed: ClaimedInstance) -> bool:
    """Whether this worker has no code that may run the instance."""
    if is_entity_id(claimed.instance_id):
        return not registry.has_entity(claimed.name)
    return not registry.has_orchestrator(claimed.name) or choose_code(claimed.name, claimed.version).definition is None


def _waits_for(claimed: ClaimedInstance) -> str:
    own = [code.version or get_config().version for code in registry.versions_of(claimed.name)]
    here = ", ".join(one or "none" for one in own)
    wanted = f"version {claimed.version}" if claimed.version else "no version"
    return f"a worker with code for {wanted} of orchestrator {claimed.name}; the code here has version {here}"
