"""django-q2's own pages, taken out for everybody.

Whoever can add one of its schedules, or send one of its failed tasks again, can run any function of the process.
"""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.contrib import admin


def hide_queue_models() -> None:
    """Take django-q2's models out of the admin."""
    if not apps.is_installed("django_q"):
        return
    import_module("django_q.admin")  # autodiscovery does not import it a second time
    for model in apps.get_app_config("django_q").get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)


hide_queue_models()
