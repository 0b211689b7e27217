"""Instants of the database's clock as those of Python, where SQLite keeps both as texts and compares them.

Other databases have nothing to do: to them neither a default nor a row is another than before.
"""

from typing import Any

from django.db import migrations, models

from orchestrations.models.clock import Now

NEVER_NULL = [
    ("apikey", "created_at"),
    ("auditentry", "at"),
    ("bulkjob", "created_at"),
    ("bulkjob", "updated_at"),
    ("deadletter", "died_at"),
    ("grant", "created_at"),
    ("humancomment", "at"),
    ("humannotice", "created_at"),
    ("humanvote", "at"),
    ("inboxmessage", "created_at"),
    ("incomingwebhook", "created_at"),
    ("instance", "created_at"),
    ("instance", "last_updated_at"),
    ("outgoingwebhook", "created_at"),
    ("raisedeventkey", "raised_at"),
    ("webhookdelivery", "created_at"),
    ("webhookreceipt", "received_at"),
    ("workerlease", "heartbeat_at"),
    ("workerlease", "started_at"),
]
NULLABLE = [("inboxmessage", "visible_at"), ("webhookdelivery", "next_attempt_at")]


class KeepingKeys(migrations.SeparateDatabaseAndState):
    """SQLite makes a table anew for another default, and would then give the keys of deleted rows again."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Do the operations; the keys go on where they were."""
        if schema_editor.connection.vendor != "sqlite":
            return
        with schema_editor.connection.cursor() as cursor:
            given = cursor.execute("SELECT seq, name FROM sqlite_sequence").fetchall()
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            cursor.execute("DELETE FROM sqlite_sequence")
            cursor.executemany("INSERT INTO sqlite_sequence (seq, name) VALUES (%s, %s)", given)


def write_alike(apps: Any, schema_editor: Any) -> None:
    """Give the instants of rows the six digits, or none, that the same instant has in a comparison."""
    if schema_editor.connection.vendor != "sqlite":
        return
    for model, field in NEVER_NULL + NULLABLE:
        table = apps.get_model("orchestrations", model)._meta.db_table
        schema_editor.execute(
            f"UPDATE {table} SET {field} = REPLACE(SUBSTR({field} || '000', 1, 26), '.000000', '') "  # noqa: S608
            f"WHERE LENGTH({field}) = 23 OR {field} LIKE '%.000000'"
        )


def _alter(model: str, field: str, **options: Any) -> migrations.AlterField:
    return migrations.AlterField(model, field, models.DateTimeField(db_default=Now(), **options))


ALTERED = [_alter(*key) for key in NEVER_NULL] + [_alter(*key, blank=True, null=True) for key in NULLABLE]


class Migration(migrations.Migration):
    dependencies = [("orchestrations", "0030_find_dead_messages_of_a_webhook")]

    operations = [
        migrations.RunPython(write_alike, migrations.RunPython.noop),
        KeepingKeys(ALTERED, ALTERED),
    ]
