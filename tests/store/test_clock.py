"""The database's clock: SQLite keeps instants as texts, and whoever writes one, equal instants are equal texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from orchestrations.models import Instance
from orchestrations.models.clock import Now
from tests import rows

pytestmark = [
    pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases keep instants as such"),
    pytest.mark.django_db(transaction=True),
]

BEFORE = ("orchestrations", "0030_find_dead_messages_of_a_webhook")


@pytest.fixture(params=[0, 100_000, 345_000], ids=["whole second", "tenth", "milliseconds"])
def moment(request):
    """What the database's clock says in this test."""
    moment = datetime(2026, 3, 1, 12, 0, 7, request.param, tzinfo=UTC)
    original = sqlite3.connect(":memory:")

    def strftime(pattern: str, *when: str) -> str:
        return original.execute("SELECT strftime(?, ?)", [pattern, str(moment.replace(tzinfo=None))]).fetchone()[0]

    connection.ensure_connection()
    connection.connection.create_function("strftime", -1, strftime)
    yield moment
    connection.close()
    original.close()


def texts(column: str) -> list[str]:
    return list(Instance.objects.order_by("pk").values_list(Cast(column, TextField()), flat=True))


def test_whoever_writes_an_instant_writes_the_same_text(start, moment):
    rows.instance("by Python", created_at=moment, claimable_at=moment, last_updated_at=moment)
    rows.instance("by the ORM", created_at=Now(), claimable_at=Now())
    start("by the store")

    stored = str(moment.replace(tzinfo=None))
    assert texts("created_at") == texts("claimable_at") == [stored] * 3
    assert Instance.objects.filter(created_at__gte=moment, created_at__lte=moment).count() == 3
    assert not Instance.objects.filter(created_at__lt=moment).exists()


@pytest.fixture
def before() -> Iterator[type[Model]]:
    """Instances as they were, in a database that is as it was until it is migrated."""
    executor = MigrationExecutor(connection)
    executor.migrate([BEFORE])
    yield executor.loader.project_state(BEFORE).apps.get_model("orchestrations", "Instance")
    migrate()


def migrate() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_rows_of_before_are_compared_as_new_ones_and_their_keys_are_not_given_again(before):
    for number, digits in enumerate([".345", ".000", ".000000", ".345678", ""]):
        row = before.objects.create(hub=rows.HUB, instance_id=f"order-{number}", name="order")
        before.objects.filter(pk=row.pk).update(created_at=RawSQL("SUBSTR(created_at, 1, 19) || %s", [digits]))
    newest = before.objects.create(hub=rows.HUB, instance_id="purged", name="order").pk
    before.objects.filter(pk=newest).delete()

    migrate()

    assert [text[19:] for text in texts("created_at")] == [".345000", "", "", ".345678", ""]
    assert {len(text) for text in texts("last_updated_at")} <= {26, 19}
    assert rows.instance("another").pk > newest
