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
