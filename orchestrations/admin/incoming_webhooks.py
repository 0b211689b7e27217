"""Incoming webhooks: where others may post, how they sign, and what that starts. A made secret is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from orchestrations.access.permissions import Action, can
from orchestrations.admin.looking import ReadOnlyAdmin
from orchestrations.admin.noting import note
from orchestrations.admin.webhooks import TOLD, SecretKeepingAdmin
from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.models import IncomingWebhook, WebhookReceipt
from orchestrations.models.audit import Deed
from orchestrations.webhooks import keyring, mapping, signatures
from orchestrations.webhooks.mapping import MappingError

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    IncomingForm = forms.ModelForm[IncomingWebhook]
else:
    IncomingForm = forms.ModelForm

Act, Scheme = IncomingWebhook.Act, IncomingWebhook.Scheme
NEEDS = {Act.START.value: Action.START, Act.RAISE_EVENT.value: Action.RAISE_EVENT}
SHORTEST_SECRET = 16  # characters of one that somebody types


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
        if secret:
            try:
                signatures.key_of(secret)
            except ValueError as error:
                raise forms.ValidationError(str(error)) from error
            if len(secret) < SHORTEST_SECRET:
                raise forms.ValidationError(f"That is too short to be guessed by nobody: {SHORTEST_SECRET} at least.")
        return secret

    def clean(self) -> dict[str, Any]:
        """What belongs together."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        for field, problem in self._problems(given):
            if field in self.fields:
                self.add_error(field, problem)
        return given

    def _problems(self, given: dict[str, Any]) -> Any:
        if given.get("act") == Act.START:
            if not registry.has_orchestrator(given.get("orchestrator") or ""):
                known = ", ".join(sorted(registry.orchestrators())[:20])
                yield "orchestrator", f"No orchestrator has that name. There are: {known}."
        else:
            for field in ("event_name", "instance_id"):
                if not given.get(field):
                    yield field, "An event needs a name, and the id of the instance that it is for."
        if given.get("scheme") == Scheme.HEADER:
            yield from _problems_of_header(given)
        for field in ("event_name", "instance_id", "mapping"):
            try:
                mapping.check(given.get(field))
            except MappingError as error:
                yield field, str(error)


def _problems_of_header(given: dict[str, Any]) -> Any:
    signed = given.get("signed_content") or ""
    if not given.get("signature_header"):
        yield "signature_header", "Name the header that has the signature."
    if signed.count("{body}") != 1:
        yield "signed_content", "{body} must be in it, once."
    if ("{timestamp}" in signed) != bool(given.get("timestamp_header")):
        yield "timestamp_header", "A time protects only where it is signed: name the header, and sign {timestamp}."
    if "{id}" in signed and not given.get("id_header"):
        yield "id_header", "Name the header that has the id which is signed."


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

    @sensitive_variables("secret")
    def save_model(self, request: HttpRequest, obj: IncomingWebhook, form: Any, change: bool) -> None:
        """Keep the secret, or make one. A webhook is no way to more than its maker may do."""
        action = NEEDS[obj.act]
        if not can(request.user, action):
            raise PermissionDenied(f"A webhook that does that needs the permission {action.permission}.")
        secret = form.cleaned_data.get("secret") or ""
        if secret:
            keyring.set_secret(obj, secret, overlap=keyring.OVERLAP)
        elif not obj.sealed_secret:
            request.META[TOLD] = keyring.rotate(obj)
        super().save_model(request, obj, form, change)
        if secret and change:
            note(request, Deed.ROTATED_SECRET, {"webhook": obj.slug}, hub=obj.hub)


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
