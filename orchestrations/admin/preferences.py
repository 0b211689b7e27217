"""What people keep for themselves on the dashboard, where they change it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from orchestrations.admin.looking import HubFilter, ReadOnlyAdmin
from orchestrations.models import Preferences, SavedView


class SomebodysOwnAdmin(ReadOnlyAdmin):
    """Rows that have no page of their own on the dashboard."""

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        """None: it is somebody's own."""
        return None


@admin.register(Preferences)
class PreferencesAdmin(SomebodysOwnAdmin):
    """Time zone, theme, density and columns."""

    list_display = ("user", "time_zone", "theme", "density", "shortcuts")
    list_select_related = ("user",)
    search_fields = ("user__username",)


@admin.register(SavedView)
class SavedViewAdmin(SomebodysOwnAdmin):
    """Filters of the instances list under a name."""

    list_display = ("name", "hub", "query", "owner", "group", "for_everybody")
    list_select_related = ("owner", "group")
    list_filter = (HubFilter, "for_everybody")
    search_fields = ("name", "owner__username")
