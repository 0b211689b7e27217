"""The functions that this process can run, by name.

A name that comes from the database is looked up here, and never imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from orchestrations.authoring.activities import ActivityDefinition
from orchestrations.authoring.entities import EntityDefinition
from orchestrations.authoring.orchestrators import RegisteredOrchestrator
from orchestrations.authoring.signatures import place_of
from orchestrations.authoring.version_order import version_key
from orchestrations.errors import ConfigurationError, FunctionNotRegistered

Definition = TypeVar("Definition", RegisteredOrchestrator, ActivityDefinition, EntityDefinition)


class Registry:
    """Orchestrators, activities and entities by name. Filled while modules are imported, and only read from then on."""

    def __init__(self) -> None:
        self._orchestrators: dict[str, tuple[RegisteredOrchestrator, ...]] = {}  # by ascending version
        self._activities: dict[str, ActivityDefinition] = {}
        self._entities: dict[str, EntityDefinition] = {}
        self._built_in: dict[str, ActivityDefinition] = {}

    def add_built_in(self, definition: ActivityDefinition) -> None:
        """Register an activity of the engine's own. Workers find it; lists of the site's functions don't show it."""
        self._built_in[definition.name] = definition

    def add_orchestrator(self, definition: RegisteredOrchestrator) -> None:
        """Register an orchestrator, beside other versions of it.

        Raises ConfigurationError, naming both places, when the name is taken in that version.
        """
        known = self._orchestrators.get(definition.name, ())
        key = version_key(definition.version)
        for other in known:
            if version_key(other.version) == key:
                raise _is_taken(other, definition)
        beside = sorted((*known, definition), key=lambda one: version_key(one.version))
        self._orchestrators[definition.name] = tuple(beside)

    def add_activity(self, definition: ActivityDefinition) -> None:
        """Register an activity. Raises ConfigurationError, naming both places, when the name is taken."""
        _add(self._activities, definition)

    def add_entity(self, definition: EntityDefinition) -> None:
        """Register an entity. Raises ConfigurationError, naming both places, when the name is taken."""
        _add(self._entities, definition)

    def orchestrator(self, name: str) -> RegisteredOrchestrator:
        """Return the orchestrator of that name in its newest version. Raises FunctionNotRegistered."""
        return self.versions_of(name)[-1]

    def versions_of(self, name: str) -> tuple[RegisteredOrchestrator, ...]:
        """Return the orchestrator's code in each version, the newest last. Raises FunctionNotRegistered."""
        try:
            return self._orchestrators[name]
        except KeyError:
            raise FunctionNotRegistered("orchestrator", name, _names(self._orchestrators)) from None

    def activity(self, name: str) -> ActivityDefinition:
        """Return the activity of that name. Raises FunctionNotRegistered."""
        try:
            return self._activities.get(name) or self._built_in[name]
        except KeyError:
            raise FunctionNotRegistered("activity", name, _names(self._activities)) from None

    def entity(self, name: str) -> EntityDefinition:
        """Return the entity of that name, in lower case. Raises FunctionNotRegistered."""
        try:
            return self._entities[name]
        except KeyError:
            raise FunctionNotRegistered("entity", name, _names(self._entities)) from None

    def has_orchestrator(self, name: str) -> bool:
        """Whether an orchestrator of that name is registered."""
        return name in self._orchestrators

    def has_activity(self, name: str) -> bool:
        """Whether an activity of that name is registered, or is the engine's own."""
        return name in self._activities or name in self._built_in

    def has_entity(self, name: str) -> bool:
        """Whether an entity of that name, in lower case, is registered."""
        return name in self._entities

    def orchestrators(self) -> dict[str, RegisteredOrchestrator]:
        """Return all orchestrators by name, each in its newest version, as a copy."""
        return {name: versions[-1] for name, versions in self._orchestrators.items()}

    def all_orchestrators(self) -> list[RegisteredOrchestrator]:
        """Return all orchestrators in all their versions."""
        return [definition for versions in self._orchestrators.values() for definition in versions]

    def activities(self) -> dict[str, ActivityDefinition]:
        """Return all activities of the site by name, as a copy."""
        return dict(self._activities)

    def activity_names(self) -> list[str]:
        """Return the names of all activities that this process can run, the engine's own among them."""
        return sorted({*self._activities, *self._built_in})

    def entities(self) -> dict[str, EntityDefinition]:
        """Return all entities by name, as a copy."""
        return dict(self._entities)

    def holds(self, definition: object) -> bool:
        """Whether that very definition is registered."""
        name = getattr(definition, "name", "")
        known = (*self._orchestrators.get(name, ()), self._activities.get(name), self._entities.get(name))
        return definition is not None and definition in known

    @contextmanager
    def preserved(self) -> Iterator[Registry]:
        """Forget, at the end of the block, what was registered inside it: for tests that declare functions."""
        orchestrators, activities, entities = dict(self._orchestrators), self.activities(), self.entities()
        try:
            yield self
        finally:
            self._orchestrators, self._activities, self._entities = orchestrators, activities, entities


registry = Registry()
"""The one registry of the process."""


def _add(definitions: dict[str, Definition], definition: Definition) -> None:
    taken = definitions.get(definition.name)
    if taken is not None:
        raise _is_taken(taken, definition)
    definitions[definition.name] = definition


def _is_taken(taken: Definition, definition: Definition) -> ConfigurationError:
    declared: str = getattr(definition, "version", "")
    version = f" and the version {declared!r}" if declared else ""
    beside = ", or version= for code that old instances finish on" if definition.kind == "orchestrator" else ""
    return ConfigurationError(
        f"Two {definition.kind} functions have the name {definition.name!r}{version}: {place_of(taken.function)} and "
        f"{place_of(definition.function)}. Rename one of them, or pass name= to its decorator{beside}."
    )


def _names(definitions: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(sorted(definitions))
