"""Files that came with people's answers: recorded with the vote, and gone with it or with the instance.

Like those of large payloads they are written before the transaction that records them, and deleted after the one that
forgets them (``large_payloads``, which also sees to the purge and to what a crash leaves).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from orchestrations import payload_files
from orchestrations.models import HumanVote, LargePayload


def record(hub: str, vote: HumanVote, names: Collection[str], using: str) -> None:
    """Record that these files are the vote's, in the transaction that stores it."""
    LargePayload.objects.using(using).bulk_create(
        [LargePayload(hub=hub, instance_id=vote.instance_id, vote_id=vote.pk, name=name) for name in names]
    )


def take_back(votes: QuerySet[HumanVote], using: str) -> None:
    """Delete votes of one instance, with their files."""
    pks = dict(votes.values_list("pk", "instance_id"))
    files = LargePayload.objects.using(using).filter(instance_id__in=set(pks.values()), vote_id__in=pks)
    names = list(files.values_list("name", flat=True))
    votes.delete()
    if names:
        files.delete()
        transaction.on_commit(partial(payload_files.delete, names), using=using, robust=True)
