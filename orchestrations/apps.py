"""The Django app."""

from django.apps import AppConfig


class OrchestrationsConfig(AppConfig):
    name = "orchestrations"
    verbose_name = "Durable orchestrations"
    default_auto_field = "django.db.models.BigAutoField"
