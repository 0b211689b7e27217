"""The app's configuration."""

import os
import signal
from datetime import timedelta
from pathlib import Path

from django.apps import AppConfig


class ClusterAppConfig(AppConfig):
    """Its label can clash with no app of a site."""

    name = "tests.cluster.app"
    label = "cluster_app"

    def ready(self) -> None:
        from orchestrations.webhooks import courier

        courier.CLAIMED = timedelta(seconds=2)
        if marker := os.environ.get("DIES_ONCE_BEFORE_SENDING"):
            _die_once(courier.Courier, Path(marker))


def _die_once(courier: type, marker: Path) -> None:
    """Let the first worker that has committed a message to a webhook die before it is sent."""
    hurry = courier.hurry

    def die(self: object) -> None:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        hurry(self)

    courier.hurry = die
