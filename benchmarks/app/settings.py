"""The site as it is, with one more address: the endpoint that starts over HTTP are measured against."""

from durable_admin.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.app.urls"
