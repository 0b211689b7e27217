from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F


def begin_with_the_execution(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """What is in flight keeps the idempotency key that it had."""
    items = apps.get_model("orchestrations", "ActivityWorkItem")
    items._default_manager.using(editor.connection.alias).update(generation=F("execution"))


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrations", "0007_index_ends_of_instances"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="instance",
            options={
                "permissions": [
                    ("start_instance", "Can start orchestration instances"),
                    ("raise_event", "Can raise external events and answer approvals"),
                    ("terminate_instance", "Can terminate orchestration instances"),
                    ("suspend_instance", "Can suspend and resume orchestration instances"),
                    ("rewind_instance", "Can rewind failed orchestration instances"),
                    ("purge_instance", "Can purge ended orchestration instances"),
                    ("hasten_task", "Can retry waiting tasks now and skip timers"),
                    ("complete_task", "Can complete activities by hand"),
                    ("signal_entity", "Can signal entities"),
                    ("clean_entities", "Can remove empty entities and release orphaned locks"),
                    ("view_payloads", "Can see inputs, outputs and event payloads"),
                ]
            },
        ),
        migrations.AddField(
            model_name="activityworkitem",
            name="generation",
            field=models.IntegerField(default=1, help_text="The execution that began with the present input."),
        ),
        migrations.AddField(
            model_name="activityworkitem",
            name="heartbeat_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="activityworkitem",
            name="heartbeat_details",
            field=models.TextField(blank=True, help_text="What it last told of its progress, as JSON.", null=True),
        ),
        migrations.AddField(
            model_name="activityworkitem",
            name="deferred_until",
            field=models.DateTimeField(blank=True, help_text="Until when it may be completed from outside.", null=True),
        ),
        migrations.RunPython(begin_with_the_execution, migrations.RunPython.noop),
    ]
