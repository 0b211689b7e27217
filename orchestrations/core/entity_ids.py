"""Which entity is meant: a name, which is code, and a key, which is data."""

from __future__ import annotations

from typing import Any

from orchestrations.core.identifiers import FORBIDDEN, instance_id_problem
from orchestrations.limits import INSTANCE_ID_LENGTH, NAME_LENGTH

MARK = "@"


class EntityId:
    """The entity ``name`` with the key ``key``; as text, and as the id of its instance, ``@name@key``.

    Names ignore case and are kept in lower case; keys are taken as they are, and may be empty or hold further ``@``.
    ``entity`` is the name's other name, that of the durabletask SDK; an entity class or function stands for its name.
    Raises ValueError for a name that is empty or holds ``@``, and for text that no instance id may hold.
    """

    __slots__ = ("key", "name")

    name: str
    key: str

    def __init__(self, name: object = None, key: str = "", *, entity: object = None) -> None:
        chosen = entity if name is None else name
        definition = getattr(chosen, "durable", None)
        if getattr(definition, "kind", "") == "entity":
            chosen = getattr(definition, "name", "")
        if not isinstance(chosen, str) or not isinstance(key, str):
            raise ValueError("An entity id is made of two texts, the entity's name and a key.")
        lowered = chosen.lower()  # which may be longer
        problem = _problem(lowered, key)
        if problem:
            raise ValueError(f"The entity id {ascii(f'@{chosen}@{key}')[:80]} {problem}.")
        object.__setattr__(self, "name", lowered)
        object.__setattr__(self, "key", key)

    @classmethod
    def parse(cls, text: str) -> EntityId:
        """Read ``@name@key``. Raises ValueError for anything else."""
        mark, _, rest = text.partition(MARK)
        name, separator, key = rest.partition(MARK)
        if mark or not separator:
            raise ValueError(f"{ascii(text)[:80]} is no entity id. One looks like '@counter@a'.")
        return cls(name, key)

    @classmethod
    def of(cls, reference: object) -> EntityId:
        """An EntityId, or text of the form ``@name@key``. Raises ValueError, or TypeError for anything else."""
        if isinstance(reference, EntityId):
            return reference
        if isinstance(reference, str):
            return cls.parse(reference)
        raise TypeError(f"An entity is given as EntityId(name, key), not as {type(reference).__name__}.")

    @property
    def entity(self) -> str:
        """The name, as the durabletask SDK calls it."""
        return self.name

    def to_json(self) -> str:
        """The id as a JSON value."""
        return str(self)

    @classmethod
    def from_json(cls, value: Any) -> EntityId:
        """Read what ``to_json`` gave. Raises ValueError or TypeError."""
        return cls.of(value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("An EntityId does not change. Make another one.")

    def __reduce__(self) -> tuple[Any, ...]:
        return EntityId, (self.name, self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntityId) and (self.name, self.key) == (other.name, other.key)

    def __lt__(self, other: EntityId) -> bool:
        return (self.name, self.key) < (other.name, other.key)

    def __hash__(self) -> int:
        return hash((self.name, self.key))

    def __str__(self) -> str:
        return f"{MARK}{self.name}{MARK}{self.key}"

    def __repr__(self) -> str:
        return f"EntityId({self.name!r}, {self.key!r})"


EntityInstanceId = EntityId
"""The durabletask SDK's name for it; takes ``entity`` and ``key``."""


def is_entity_id(instance_id: str) -> bool:
    """Whether the instance is an entity: ids of orchestrations never begin with ``@``."""
    return instance_id.startswith(MARK)


def _problem(name: str, key: str) -> str | None:
    if not name.strip():
        return "has no name"
    if MARK in name or FORBIDDEN.intersection(name) or not name.isprintable() or len(name) > NAME_LENGTH:
        return f"has a name that is not of 1 to {NAME_LENGTH} printable characters, none of them @ / \\ # ?"
    if len(name) + len(key) + 2 > INSTANCE_ID_LENGTH:
        return f"is too long; name and key have at most {INSTANCE_ID_LENGTH - 2} characters together"
    return instance_id_problem(f"-{key}"[:INSTANCE_ID_LENGTH])
