"""Registers the benchmark's orchestrations, when ``DURABLE_APPS=benchmarks.app`` asks for it."""

from __future__ import annotations

from django.apps import AppConfig


class BenchmarksConfig(AppConfig):
    """The app under a label that says what it is."""

    name = "benchmarks.app"
    label = "benchmarks"
