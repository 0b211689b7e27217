"""What orchestrations ask of people: questions, votes, comments and notices."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse

from orchestrations.admin.looking import BelongsToInstanceAdmin, HubFilter, by_period
from orchestrations.models import HumanAudience, HumanComment, HumanFollowUp, HumanNotice, HumanTask, HumanVote


@admin.register(HumanTask)
class HumanTaskAdmin(BelongsToInstanceAdmin):
    """Questions to people, the newest first."""

    list_display = ("title", "instance", "state", "asked_at", "due_at", "answered_by", "outcome")
    list_filter = ("state", by_period("asked_at", "asked"), HubFilter)
    raw_id_fields = ("instance", "assignee")

    def view_on_site(self, obj: Any) -> str:
        """Where it is answered."""
        return reverse("dashboard:task", args=[obj.pk])


@admin.register(HumanAudience)
class HumanAudienceAdmin(BelongsToInstanceAdmin):
    """Who is asked by tasks that are open."""

    list_display = ("key", "instance", "execution", "wait_id")


@admin.register(HumanVote)
class HumanVoteAdmin(BelongsToInstanceAdmin):
    """Answers of single people."""

    list_display = ("username", "task", "counts_as", "outcome", "at", "via")
    list_filter = ("counts_as",)
    list_select_related = ("task",)
    raw_id_fields = ("instance", "task", "user")


@admin.register(HumanComment)
class HumanCommentAdmin(BelongsToInstanceAdmin):
    """What people said about tasks, and did with them beside answering."""

    list_display = ("username", "task", "kind", "at")
    list_filter = ("kind",)
    list_select_related = ("task",)
    raw_id_fields = ("instance", "task", "user")


@admin.register(HumanFollowUp)
class HumanFollowUpAdmin(BelongsToInstanceAdmin):
    """Tasks that people have put off."""

    list_display = ("task", "user", "until")
    list_select_related = ("task", "user")
    raw_id_fields = ("instance", "task", "user")


@admin.register(HumanNotice)
class HumanNoticeAdmin(BelongsToInstanceAdmin):
    """Messages to people about tasks."""

    list_display = ("task", "kind", "channel", "recipient", "created_at", "sent_at", "attempts", "error")
    list_filter = ("kind",)
    list_select_related = ("task", "recipient")
    raw_id_fields = ("instance", "task", "recipient")
