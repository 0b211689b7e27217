"""Incoming webhooks: where others may post, how they sign, and what that starts. A made secret is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from orchestrations.admin.looking import ReadOnlyAdmin
from orchestrations.admin.webhooks import SecretKeepingAdmin, add_problems
from orchestrations.conf import get_config
from orchestrations.models import IncomingWebhook, WebhookReceipt
from orchestrations.webhooks import rules

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    IncomingForm = forms.ModelForm[IncomingWebhook]
else:
    IncomingForm = forms.ModelForm


class IncomingWebhookForm(IncomingForm):
    """Who posts, how it is signed, and what is done with it."""

    secret = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="The one that the sender shows. Empty: one is made for a new webhook, and an old one keeps its own. "
        "The former one counts for a day more.",
    )

    class Meta:
        model = IncomingWebhook
        exclude = ("created_at",)
        help_texts = {"slug": "The end of its address: /webhooks/in/…/"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "hub" in self.fields:
            self.fields["hub"].initial = get_config().task_hub

    @sensitive_variables("secret")
    def clean_secret(self) -> str:
        """One that can sign."""
        secret: str = self.cleaned_data["secret"]
        if secret and (problem := rules.problem_of_secret(secret)):
            raise forms.ValidationError(problem)
        return secret

    def clean(self) -> dict[str, Any]:
        """What belongs together."""
        super().clean()
        return add_problems(self, rules.problems_of_incoming)


@admin.register(IncomingWebhook)
class IncomingWebhookAdmin(SecretKeepingAdmin):
    """Incoming webhooks. Deleting one ends its address; what it has started goes on."""

    form = IncomingWebhookForm
    list_display = ("name", "address", "scheme", "act", "orchestrator", "event_name", "hub", "enabled")
    list_filter = ("enabled", "act", "scheme")
    search_fields = ("name", "slug")
    ordering = ("name",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("previous_secret_until", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "slug", "enabled", "hub", "requests_per_minute")}),
        ("What it does", {"fields": ("act", "orchestrator", "event_name", "instance_id", "mapping")}),
        ("How it is signed", {"fields": ("scheme", "secret", "previous_secret_until")}),
        (
            "A header of your choice",
            {
                "fields": (
                    "signature_header",
                    "signature_prefix",
                    "signature_encoding",
                    "signed_content",
                    "timestamp_header",
                    "id_header",
                )
            },
        ),
    )

    @admin.display(description="address")
    def address(self, row: IncomingWebhook) -> str:
        """Where requests are posted to."""
        try:
            return reverse("webhooks:receive", args=[row.slug])
        except NoReverseMatch:
            return "this site's URLs don't include it"


@admin.register(WebhookReceipt)
class WebhookReceiptAdmin(ReadOnlyAdmin):
    """Requests that were accepted, the newest first."""

    list_display = ("webhook", "message_id", "instance_id", "received_at", "forget_at")
    list_filter = ("webhook",)
    list_select_related = ("webhook",)
    search_fields = ("message_id",)
    search_help_text = "A whole message id, as id:… or signature:…"
    indexed = frozenset({"webhook__id__exact"})

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By the index on webhook and id."""
        webhooks = list(IncomingWebhook.objects.using(rows.db).values_list("pk", flat=True)[:1_000])
        return rows.filter(webhook_id__in=webhooks, message_id=term)

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance, which may be gone."""
        return reverse("dashboard:instance", args=[obj.webhook.hub, obj.instance_id])
