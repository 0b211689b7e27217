"""One pattern: the API's own route table matches paths in any letter case and answers 404 in JSON."""

from __future__ import annotations

from django.urls import re_path

from orchestrations.interfaces.management_api.views import dispatch

app_name = "management_api"
urlpatterns = [re_path(r"(?s)^(?P<path>.*)\Z", dispatch, name="route")]
