from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrations", "0021_keep_dead_letters"),
    ]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="names",
            field=models.CharField(
                db_default="*",
                default="*",
                help_text="The orchestrator or entity that it is for, or a pattern with * for any characters: billing_*.",
                max_length=256,
            ),
        ),
        migrations.AlterField(
            model_name="grant",
            name="hub",
            field=models.CharField(
                default="*",
                help_text="A task hub, or a pattern with * for any characters.",
                max_length=45,
                verbose_name="task hub",
            ),
        ),
        migrations.AlterField(
            model_name="grant",
            name="names",
            field=models.CharField(
                default="*",
                help_text="An orchestrator or entity, or a pattern with * for any characters: billing_*, *_report.",
                max_length=256,
            ),
        ),
    ]
