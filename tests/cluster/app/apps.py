from django.apps import AppConfig


class ClusterAppConfig(AppConfig):
    name = "tests.cluster.app"
    label = "cluster_app"
