"""Outgoing webhooks: made, given new secrets and disabled here; their messages looked at and sent again.

A secret is told once, on the page that answers, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from orchestrations.access.permissions import Action, can
from orchestrations.admin.looking import HubFilter, ReadOnlyAdmin, by_period, newest
from orchestrations.admin.noting import note, note_each
from orchestrations.admin.patterns import checked_pattern
from orchestrations.core.lifecycle import LifecycleEvent
from orchestrations.durable_http.addresses import read_target
from orchestrations.errors import HttpRequestRefused
from orchestrations.models import OutgoingWebhook, WebhookDelivery
from orchestrations.models.audit import Deed
from orchestrations.webhooks import keyring

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    WebhookAdmin = admin.ModelAdmin[Any]
    OutgoingForm = forms.ModelForm[OutgoingWebhook]
else:
    WebhookAdmin = admin.ModelAdmin
    OutgoingForm = forms.ModelForm

TOLD = "orchestrations.webhook_secret"
TEMPLATE = "admin/orchestrations/webhooks/secret.html"
EVENTS = [(event.value, event.value.replace("_", " ")) for event in LifecycleEvent]


class SecretKeepingAdmin(WebhookAdmin):
    """Webhooks of either direction, whose secrets are told once."""

    actions: Any = ("rotate",)
    list_per_page = 50
    show_full_result_count = False

    @sensitive_variables("secret")
    def tell_secret(self, request: HttpRequest, webhook: Any, secret: str) -> HttpResponse:
        """The page with the secret. It is in no message, cookie or address; the admin lets no cache keep it."""
        context = {**self.admin_site.each_context(request), "title": "Signing secret", "opts": self.opts}
        context |= {"webhook": webhook, "secret": secret, "until": webhook.previous_secret_until}
        context["list_url"] = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return TemplateResponse(request, TEMPLATE, context)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The page with the secret where one was made, else Django's own answer."""
        secret = request.META.pop(TOLD, None)
        if secret is None:
            return super().response_add(request, obj, post_url_continue)
        return self.tell_secret(request, obj, secret)

    @admin.action(description="Give a new secret", permissions=["change"])
    @sensitive_variables("secret")
    def rotate(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Make a new secret for the one webhook chosen, and tell it; the former one counts for a day more."""
        chosen = list(rows[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one webhook: its new secret is shown on the next page.", messages.ERROR)
            return None
        [webhook] = chosen
        secret = keyring.rotate(webhook)
        webhook.save(update_fields=["sealed_secret", "sealed_previous_secret", "previous_secret_until"])
        self.log_change(request, webhook, "Given a new secret.")
        note(request, Deed.ROTATED_SECRET, {"webhook": webhook.name}, hub=webhook.hub)
        return self.tell_secret(request, webhook, secret)


class OutgoingWebhookForm(OutgoingForm):
    """Where to, and about what."""

    events = forms.MultipleChoiceField(choices=EVENTS, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = OutgoingWebhook
        fields = ("name", "url", "events", "hub", "name_pattern", "include_payloads", "enabled")

    def clean_url(self) -> str:
        """An address that a request can have; where it leads is looked up, and checked, with each message."""
        url: str = self.cleaned_data["url"]
        try:
            read_target(url)
        except HttpRequestRefused as refused:
            raise forms.ValidationError(str(refused)) from refused
        return url

    def clean_name_pattern(self) -> str:
        """Refuse a pattern that can't be meant."""
        return checked_pattern(self.cleaned_data["name_pattern"])


@admin.register(OutgoingWebhook)
class OutgoingWebhookAdmin(SecretKeepingAdmin):
    """Who hears of what. Deleting one leaves its messages to the sweep; none is sent any more."""

    form = OutgoingWebhookForm
    list_display = ("name", "url", "event_list", "name_pattern", "enabled", "failing_since", "disabled_reason")
    list_filter = ("enabled",)
    search_fields = ("name", "url")
    ordering = ("name",)
    readonly_fields = ("failing_since", "disabled_reason", "previous_secret_until", "created_at")

    @admin.display(description="events")
    def event_list(self, row: OutgoingWebhook) -> str:
        """The events on one line."""
        return ", ".join(row.events)

    def view_on_site(self, obj: OutgoingWebhook) -> str:
        """Its messages."""
        listed = reverse("admin:orchestrations_webhookdelivery_changelist")
        return f"{listed}?webhook__id__exact={obj.pk}"

    @sensitive_variables("secret")
    def save_model(self, request: HttpRequest, obj: OutgoingWebhook, form: Any, change: bool) -> None:
        """Make a secret for a new one; who enables one again begins anew. Payloads are given away by who sees them."""
        if (
            "include_payloads" in form.changed_data
            and obj.include_payloads
            and not can(request.user, Action.VIEW_PAYLOADS)
        ):
            raise PermissionDenied(f"Sending payloads needs the permission {Action.VIEW_PAYLOADS.permission}.")
        if not change:
            request.META[TOLD] = keyring.rotate(obj)
        if obj.enabled and "enabled" in form.changed_data:
            obj.failing_since, obj.disabled_reason = None, ""
        super().save_model(request, obj, form, change)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Messages to webhooks, the newest first."""

    list_display = (
        "event",
        "instance_id",
        "webhook",
        "state",
        "attempts",
        "last_error",
        "created_at",
        "next_attempt_at",
    )
    list_filter = ("state", "event", "webhook", by_period("created_at", "created"), HubFilter)
    list_select_related = ("webhook",)
    search_fields = ("instance_id",)
    search_help_text = "A whole instance id or message id, among the newest rows."
    indexed = frozenset({"hub", "webhook__id__exact"})
    actions = ("send_again",)

    def found(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Lately."""
        return newest(rows).filter(Q(instance_id=term) | Q(message_id=term))

    def view_on_site(self, obj: Any) -> str:
        """The dashboard's page of the instance, which may be gone."""
        return self.instance_url(obj.hub, obj.instance_id)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Whether the person may have messages sent again: who may change webhooks."""
        return request.user.has_perm("orchestrations.change_outgoingwebhook")

    @admin.action(description="Send again", permissions=["resend"])
    def send_again(self, request: HttpRequest, rows: QuerySet[WebhookDelivery]) -> None:
        """Put the chosen messages back into the outbox, with all their attempts before them."""
        again = {"state": WebhookDelivery.State.PENDING, "attempts": 0, "next_attempt_at": timezone.now()}
        chosen = list(rows.values_list("pk", flat=True)[:1_000])
        count = WebhookDelivery.objects.using(rows.db).filter(pk__in=chosen).update(**again, delivered_at=None)
        self._tell_of(request, WebhookDelivery.objects.using(rows.db).filter(pk__in=chosen).select_related("webhook"))
        self.message_user(request, f"{count} message{'s' if count != 1 else ''} will be sent again.", messages.SUCCESS)

    def _tell_of(self, request: HttpRequest, sent: QuerySet[WebhookDelivery]) -> None:
        told: dict[str, dict[str, dict[str, Any]]] = {}
        for row in sent:
            messages_of = told.setdefault(row.hub, {}).setdefault(row.instance_id, {"messages": [], "webhook": ""})
            messages_of["messages"].append(row.message_id)
            messages_of["webhook"] = row.webhook.name
        for hub, by_instance in told.items():
            note_each(request, Deed.SENT_AGAIN, by_instance, hub=hub)
        for row in sent[:100]:
            self.log_change(request, row, "Sent again.")
