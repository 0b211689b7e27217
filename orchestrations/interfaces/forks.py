"""Running an instance again from a step on behalf of a program, which may ask twice."""

from __future__ import annotations

import uuid

from orchestrations.client import OrchestrationClient
from orchestrations.client.arguments import check_idempotency_key
from orchestrations.client.starting import Started
from orchestrations.errors import InstanceAlreadyExists

FORKED_BY_KEY = uuid.UUID("3b1c6a52-27f0-5b0e-8a8e-7a2f7c1f9d11")


def fork_once(
    client: OrchestrationClient,
    instance_id: str,
    step: int,
    *,
    new_instance_id: str | None,
    version: str | None,
    reason: str,
    key: str | None,
    caller_id: str,
) -> Started:
    """Fork it as the client does.

    With an idempotency key and no id of its own, the id is made of the key, the caller and the step: a repeated request
    finds the instance that the first one started.
    """
    if check_idempotency_key(key) is None or new_instance_id is not None:
        forked = client.fork(instance_id, step, new_instance_id, version, reason=reason)
        return Started(forked, is_new=True)
    new_id = uuid.uuid5(FORKED_BY_KEY, f"{caller_id}/{key}/{step}/{instance_id}").hex
    try:
        return Started(client.fork(instance_id, step, new_id, version, reason=reason), is_new=True)
    except InstanceAlreadyExists:
        return Started(new_id, is_new=False)
