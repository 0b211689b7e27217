from typing import Any

from django.db import migrations, models
from django.db.models import Q

REASON = "? and [ of its pattern stand for themselves now, so it would match other names. Write the pattern anew."


def disable_other_patterns(apps: Any, schema_editor: Any) -> None:
    """A webhook that would hear of other orchestrators than before waits for somebody to say which it is for."""
    webhooks = apps.get_model("orchestrations", "OutgoingWebhook").objects.using(schema_editor.connection.alias)
    changed = Q(name_pattern__contains="?") | Q(name_pattern__contains="[")
    webhooks.filter(changed, enabled=True).update(enabled=False, disabled_reason=REASON)


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrations", "0023_list_entities_among_instances"),
    ]

    operations = [
        migrations.AlterField(
            model_name="outgoingwebhook",
            name="name_pattern",
            field=models.CharField(
                default="*",
                help_text="An orchestrator, or a pattern with * for any characters: order_*, *_report.",
                max_length=256,
                verbose_name="orchestrators",
            ),
        ),
        migrations.RunPython(disable_other_patterns, migrations.RunPython.noop),
    ]
