"""The management API alone, where the site has it, and its RPC base."""

from __future__ import annotations

from django.urls import include, re_path

from orchestrations.interfaces.management_api import rpc_urls
from orchestrations.interfaces.management_api.urls import BASE

urlpatterns = [
    re_path(BASE, include("orchestrations.interfaces.management_api.urls")),
    re_path(rpc_urls.BASE, include("orchestrations.interfaces.management_api.rpc_urls")),
]
