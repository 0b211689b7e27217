"""The management API alone, where the site has it."""

from __future__ import annotations

from django.urls import include, re_path

from orchestrations.interfaces.management_api.urls import BASE

urlpatterns = [re_path(BASE, include("orchestrations.interfaces.management_api.urls"))]
