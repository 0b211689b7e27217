"""The Django app of the sample orchestrations."""

from django.apps import AppConfig


class SamplesConfig(AppConfig):
    """Declares the samples; they have no models."""

    name = "durable_admin.samples"
    label = "samples"
    verbose_name = "Sample orchestrations"
