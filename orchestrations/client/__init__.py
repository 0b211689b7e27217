"""The one write door: starts orchestrations, raises events and controls instances, from any Django code.

Every write joins the transaction that the caller has open on the hub's database, so that it happens if and only if that
commits; the audit row and the hint to the workers are part of it. Only purging and tagging lock rows of instances here.
"""

from __future__ import annotations

from orchestrations.client.activities import Activities, ActivityFailed
from orchestrations.client.entities import CleanEntityStorageResult, Entities, EntityQuery, EntityState
from orchestrations.client.forking import Forking
from orchestrations.client.hub import SerializedJson
from orchestrations.client.messages import Messaging
from orchestrations.client.purging import PurgeHistoryResult, Purging
from orchestrations.client.querying import Querying
from orchestrations.client.reading import Reading
from orchestrations.client.starting import Starting
from orchestrations.client.tagging import Tagging
from orchestrations.client.task_acts import TaskActs

__all__ = [
    "ActivityFailed",
    "CleanEntityStorageResult",
    "EntityQuery",
    "EntityState",
    "OrchestrationClient",
    "PurgeHistoryResult",
    "SerializedJson",
]


class OrchestrationClient(
    Starting, Forking, Messaging, Tagging, TaskActs, Purging, Reading, Querying, Entities, Activities
):
    """A task hub, seen from outside. Cheap to make; each method has an async twin whose name begins with ``a``.

    ``actor`` is the person (a user, or a name such as ``system key``) on whose behalf the client acts; with one, every
    act leaves an audit row, which says ``via`` what and from which ``address`` it came. Without one it is the program
    that acts, and there is none. Permissions are the caller's affair: see ``orchestrations.access.permissions``.
    """
