"""The tables. The hot ones are written by ``orchestrations.store`` alone."""

from orchestrations.models.api_keys import ApiKey
from orchestrations.models.audit import AuditEntry
from orchestrations.models.bulk_jobs import BulkJob, BulkProblem
from orchestrations.models.chores import Chore, ChoreRun
from orchestrations.models.counts import CountMark, InstanceCount, MovedEnd
from orchestrations.models.dead_letters import DeadLetter
from orchestrations.models.entities import Entity
from orchestrations.models.event_keys import RaisedEventKey
from orchestrations.models.grants import Grant
from orchestrations.models.history import HistoryEvent
from orchestrations.models.human import (
    HumanAudience,
    HumanComment,
    HumanFollowUp,
    HumanNotice,
    HumanTask,
    HumanVote,
)
from orchestrations.models.incoming_webhooks import IncomingWebhook, WebhookReceipt
from orchestrations.models.instances import Instance
from orchestrations.models.large_payloads import LargePayload
from orchestrations.models.preferences import Preferences, SavedView
from orchestrations.models.waits import OpenWait
from orchestrations.models.webhooks import OutgoingWebhook, WebhookDelivery
from orchestrations.models.work import ActivityWorkItem, InboxMessage, LostWorker, Timer, WorkerLease

__all__ = [
    "ActivityWorkItem",
    "ApiKey",
    "AuditEntry",
    "BulkJob",
    "BulkProblem",
    "Chore",
    "ChoreRun",
    "CountMark",
    "DeadLetter",
    "Entity",
    "Grant",
    "HistoryEvent",
    "HumanAudience",
    "HumanComment",
    "HumanFollowUp",
    "HumanNotice",
    "HumanTask",
    "HumanVote",
    "InboxMessage",
    "IncomingWebhook",
    "Instance",
    "InstanceCount",
    "LargePayload",
    "LostWorker",
    "MovedEnd",
    "OpenWait",
    "OutgoingWebhook",
    "Preferences",
    "RaisedEventKey",
    "SavedView",
    "Timer",
    "WebhookDelivery",
    "WebhookReceipt",
    "WorkerLease",
]
