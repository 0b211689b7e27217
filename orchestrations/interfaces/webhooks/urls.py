"""The address of each incoming webhook."""

from __future__ import annotations

from django.urls import path

from orchestrations.interfaces.webhooks.views import receive

app_name = "webhooks"

urlpatterns = [path("in/<slug:slug>/", receive, name="receive")]
