"""What a bulk job skipped or failed at gets rows, so that there may be more than fit into a column."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def move(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make rows of what the column holds."""
    using = schema_editor.connection.alias
    problem = apps.get_model("orchestrations", "BulkProblem")
    for job in apps.get_model("orchestrations", "BulkJob").objects.using(using).exclude(problems=[]).order_by("pk"):
        problem.objects.using(using).bulk_create(problem(job=job, **told) for told in job.problems)


class Migration(migrations.Migration):
    dependencies = [
        ("orchestrations", "0032_let_programs_make_bulk_jobs"),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkProblem",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("instance_id", models.CharField(max_length=256)),
                (
                    "outcome",
                    models.CharField(choices=[("skipped", "Skipped"), ("failed", "Failed")], max_length=16),
                ),
                ("why", models.CharField(max_length=300)),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="kept_problems",
                        to="orchestrations.bulkjob",
                    ),
                ),
            ],
            options={
                "db_table": "durable_bulk_problem",
                "indexes": [
                    models.Index(fields=["job", "id"], name="durable_bulk_problem_all"),
                    models.Index(fields=["job", "outcome", "id"], name="durable_bulk_problem_outcome"),
                ],
            },
        ),
        migrations.RunPython(move, migrations.RunPython.noop),
        migrations.RemoveField(model_name="bulkjob", name="problems"),
        migrations.AlterField(
            model_name="bulkproblem",
            name="job",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="problems",
                to="orchestrations.bulkjob",
            ),
        ),
    ]
