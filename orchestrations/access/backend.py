"""Signing in as Django does it, with fewer queries for what somebody may do."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model

from orchestrations.access.grants import holdings_of


class HoldingsBackend(ModelBackend):
    """Django's own backend, which reads permissions together with groups and grants: one query instead of four."""

    def get_all_permissions(self, user_obj: User | AnonymousUser, obj: Model | None = None) -> set[str]:
        """The user's own permissions and those of their groups: ``app_label.codename`` each."""
        if obj is not None or user_obj.is_superuser:
            return super().get_all_permissions(user_obj, obj)
        return set(holdings_of(user_obj).permissions)
