"""Outgoing webhooks: made, given new secrets and disabled here; their messages looked at and sent again.

A secret is told once, on the page that answers, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from orchestrations.admin.acting import CONFIRMED, Chosen, ask, client_of
from orchestrations.admin.looking import HubFilter, ReadOnlyAdmin, by_period, newest
from orchestrations.errors import PermissionRefused
from orchestrations.interfaces import webhook_keeping
from orchestrations.interfaces.dashboard.act_forms import ReasonForm
from orchestrations.limits import LIST_PAGE_MAXIMUM
from orchestrations.models import OutgoingWebhook, WebhookDelivery
from orchestrations.webhooks import rules

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    WebhookAdmin = admin.ModelAdmin[Any]
    OutgoingForm = forms.ModelForm[OutgoingWebhook]
else:
    WebhookAdmin = admin.ModelAdmin
    OutgoingForm = forms.ModelForm

TOLD = "orchestrations.webhook_secret"
TEMPLATE = "admin/orchestrations/webhooks/secret.html"
SENT_AT_ONCE = 1_000  # messages that one action puts back
LOGGED = 100  # of them, in the admin's own history
EFFECT = "Each goes out at once, with all its attempts before it, whether or not it was delivered before."
EVENTS = [(event, event.replace("_", " ")) for event in rules.EVENTS]


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
        secret = webhook_keeping.rotate(client_of(request, ""), webhook)
        self.log_change(request, webhook, "Given a new secret.")
        return self.tell_secret(request, webhook, secret)

    @sensitive_variables("secret", "made")
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep what was entered, and the secret that was made for the page that answers."""
        secret = form.cleaned_data.get("secret") or ""
        changed = [name for name in form.changed_data if name != "secret"]
        try:
            made = webhook_keeping.save(client_of(request, ""), request.user, obj, changed, secret=secret)
        except PermissionRefused as refused:
            raise PermissionDenied(str(refused)) from refused
        if made and not change:
            request.META[TOLD] = made

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Leave an audit row."""
        webhook_keeping.delete(client_of(request, ""), obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Leave an audit row for each."""
        for webhook in queryset:
            self.delete_model(request, webhook)


def add_problems(form: Any, problems_of: Callable[[Mapping[str, Any]], rules.Problems]) -> dict[str, Any]:
    """Say at each field of the form what is wrong with it, and return what was cleaned."""
    given: dict[str, Any] = dict(form.cleaned_data)
    for field, problem in problems_of(given):
        if field in form.fields:
            form.add_error(field, problem)
    return dict(form.cleaned_data)


class OutgoingWebhookForm(OutgoingForm):
    """Where to, and about what."""

    events = forms.MultipleChoiceField(choices=EVENTS, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = OutgoingWebhook
        fields = ("name", "url", "events", "hub", "name_pattern", "include_payloads", "enabled")

    def clean(self) -> dict[str, Any]:
        """What makes sense, as through the APIs."""
        super().clean()
        return add_problems(self, rules.problems_of_outgoing)


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
    def send_again(self, request: HttpRequest, rows: QuerySet[WebhookDelivery]) -> HttpResponse | None:
        """Ask why, and put the chosen messages back into the outbox."""
        form = ReasonForm(request.POST if CONFIRMED in request.POST else None)
        chosen = list(rows[:SENT_AT_ONCE])
        count = f"{len(chosen):,} message{'s' if len(chosen) != 1 else ''}"
        if not form.is_valid():
            named = [f"{row} {row.message_id}" for row in chosen[:LIST_PAGE_MAXIMUM]]
            return ask(self, request, Chosen(count, named), form, label="Send again", effect=EFFECT)
        messages_of = [row.pk for row in chosen]
        sent = webhook_keeping.send_again(client_of(request, ""), messages_of, reason=form.cleaned_data["reason"])
        for row in sent[:LOGGED]:
            self.log_change(request, row, "Sent again.")
        self.message_user(request, f"{count} will be sent again.", messages.SUCCESS)
        return None
