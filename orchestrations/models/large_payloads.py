"""Which files of large payloads, and of people's answers, belong to which instance."""

from __future__ import annotations

from django.db import models

from orchestrations.limits import HUB_LENGTH
from orchestrations.models.human import HumanVote
from orchestrations.models.instances import Instance


class LargePayload(models.Model):
    """A payload's file, recorded in the transaction that first refers to it. A file without a row is a stray.

    One that came with somebody's answer names the vote, and stays while that does.
    """

    id = models.BigAutoField(primary_key=True)
    hub = models.CharField(max_length=HUB_LENGTH)
    instance = models.ForeignKey(
        Instance, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="large_payloads"
    )
    vote = models.ForeignKey(
        HumanVote, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="files"
    )
    name = models.CharField(max_length=200, help_text="Of the file, in the storage.")

    class Meta:
        db_table = "durable_large_payload"
        constraints = [models.UniqueConstraint(fields=["name"], name="durable_large_payload_once")]
        indexes = [models.Index(fields=["instance"], name="durable_large_payload_owner")]

    def __str__(self) -> str:
        return self.name
