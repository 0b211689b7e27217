"""What lets PostgreSQL find instances by the beginning of an id or a name, and by their tags.

With the collation "C" the indexes that there are on ids and names serve prefixes and orders too, and compare bytes: no
index more is written for them. Tags have an index of their own, for instances that have any. Other databases compare
texts by their bytes as it is.
"""

from typing import Any

from django.db import migrations

TABLE = "durable_instance"


def search(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            f'ALTER TABLE {TABLE} ALTER COLUMN instance_id TYPE varchar(256) COLLATE "C", '
            'ALTER COLUMN name TYPE varchar(256) COLLATE "C"'
        )
        schema_editor.execute(
            f"CREATE INDEX durable_inst_tags ON {TABLE} USING gin (tags jsonb_path_ops) "
            "WHERE NOT is_entity AND tags <> '{}'"
        )


def stop_searching(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX durable_inst_tags")
        schema_editor.execute(
            f'ALTER TABLE {TABLE} ALTER COLUMN instance_id TYPE varchar(256) COLLATE "default", '
            'ALTER COLUMN name TYPE varchar(256) COLLATE "default"'
        )


class Migration(migrations.Migration):
    dependencies = [("orchestrations", "0017_let_people_choose")]

    operations = [migrations.RunPython(search, stop_searching)]
