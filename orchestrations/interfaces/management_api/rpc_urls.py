"""The same API as the RPC base of Microsoft's azure-functions-durable client, which wraps its bodies once more.

That client sends inputs and events as JSON strings that hold JSON; here such a body is decoded once more, so that the
orchestrator gets the value that was passed. Links in the answers lead to the API proper.
"""

from __future__ import annotations

from django.urls import re_path

from orchestrations.interfaces.management_api.urls import in_any_letter_case
from orchestrations.interfaces.management_api.views import dispatch

BASE = in_any_letter_case("durabletask/")
"""Where a site includes this module, beside the API proper."""

app_name = "management_api_rpc"
urlpatterns = [re_path(r"^(?P<path>[\s\S]*)\Z", dispatch, {"holds_json": True}, name="route")]
