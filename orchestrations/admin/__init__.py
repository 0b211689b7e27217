"""The tables in Django's admin: to look at, and where people decide something, to act. A module for each area.

What people may do goes through the client, as everywhere. Pages stay cheap at a million rows: see ``looking``.
"""

from orchestrations.admin import (
    audit,
    dead_letters,
    engine,
    grants,
    incoming_webhooks,
    instances,
    keys,
    people,
    preferences,
    queue,
    tokens,
    webhooks,
)

__all__ = [
    "audit",
    "dead_letters",
    "engine",
    "grants",
    "incoming_webhooks",
    "instances",
    "keys",
    "people",
    "preferences",
    "queue",
    "tokens",
    "webhooks",
]
