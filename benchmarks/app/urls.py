"""The site's addresses, and the floor's."""

from __future__ import annotations

from django.urls import include, path

from benchmarks.app.one_row import OneRow

urlpatterns = [
    path("floor/", OneRow.as_view()),
    path("", include("durable_admin.urls")),
]
