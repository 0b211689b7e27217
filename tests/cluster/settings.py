"""The site's settings with short leases, so that recovery is seen within seconds."""

import os

from durable_admin.settings import *  # noqa: F403

DURABLE = {
    **DURABLE,  # noqa: F405
    "LEASE_SECONDS": 2.0,
    "HEARTBEAT_SECONDS": 0.4,
    "SWEEP_SECONDS": 0.3,
    "EPISODE_TIMEOUT_SECONDS": 1.5,
    "DISPATCH_ATTEMPTS": 3,
    "STOP_SECONDS": 5.0,
    "VERSION_MATCH": os.environ.get("TEST_VERSION_MATCH", "current-or-older"),
}
MEDIA_ROOT = os.environ.get("TEST_FILES", MEDIA_ROOT)  # noqa: F405
