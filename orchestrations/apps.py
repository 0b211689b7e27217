"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OrchestrationsConfig(AppConfig):
    """Finds the functions of all installed apps, in their ``orchestrations`` modules, when the site starts."""

    name = "orchestrations"
    verbose_name = "Durable orchestrations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and the built-in activity; import the ``orchestrations`` module of every app with one."""
        from orchestrations import checks  # registers itself; it needs the models of other apps to be loaded
        from orchestrations.durable_http import activity

        checks.register_all()
        activity.register()
        autodiscover_modules("orchestrations")
