"""The app's configuration."""

from django.apps import AppConfig


class ClusterAppConfig(AppConfig):
    """Its label can clash with no app of a site."""

    name = "tests.cluster.app"
    label = "cluster_app"
