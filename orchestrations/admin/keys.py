"""API keys in Django's admin: made, narrowed and revoked there; a new key is shown once, on the page that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from orchestrations.access import api_keys
from orchestrations.access.api_keys import ACTIONS, PERMISSIONS, Verb
from orchestrations.access.permissions import can
from orchestrations.admin.acting import CONFIRMED, Chosen, ask
from orchestrations.admin.noting import note
from orchestrations.admin.patterns import checked_pattern
from orchestrations.interfaces.dashboard.act_forms import RequiredReasonForm
from orchestrations.models import ApiKey
from orchestrations.models.audit import Deed

if TYPE_CHECKING:  # Django's own classes take no type arguments when the site runs
    KeyAdmin = admin.ModelAdmin[ApiKey]
    KeyForm = forms.ModelForm[ApiKey]
else:
    KeyAdmin = admin.ModelAdmin
    KeyForm = forms.ModelForm

ISSUED = "orchestrations.issued_key"
EFFECT = "Requests with the keys are refused from now on, also at the links that were given to their holders. For good."


class ApiKeyForm(KeyForm):
    """A key's name and what it opens. Offers only verbs that the person may give, and those that the key has."""

    verbs = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, help_text="What it may do.")

    class Meta:
        model = ApiKey
        fields = ("name", "hub", "names", "verbs", "expires_at", "requests_per_minute")

    def clean_names(self) -> str:
        """Refuse a pattern that can't be meant."""
        return checked_pattern(self.cleaned_data["names"])

    def clean_expires_at(self) -> Any:
        """Refuse an instant that is past, except the one that the key has already."""
        value = self.cleaned_data["expires_at"]
        if value is not None and value != self.instance.expires_at and value <= timezone.now():
            raise forms.ValidationError("That is past. Choose a later instant; to end a key now, revoke it.")
        return value


@admin.register(ApiKey)
class ApiKeyAdmin(KeyAdmin):
    """Keys, the newest first. They are revoked and not deleted, so that audit entries can be told apart."""

    form = ApiKeyForm
    list_display = (
        "name",
        "prefix",
        "hub",
        "names",
        "verb_list",
        "created_by",
        "created_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = ("hub",)
    search_fields = ("name", "prefix")
    ordering = ("-pk",)
    actions = ("revoke",)

    @admin.display(description="verbs")
    def verb_list(self, row: ApiKey) -> str:
        """The verbs on one line."""
        return ", ".join(row.verbs)

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Nobody deletes keys."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """A revoked key stays as it is."""
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """A key that audit entries may name keeps its name."""
        return () if obj is None else ("name", "prefix", "created_by", "created_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """What is chosen, then what is only told."""
        told = self.get_readonly_fields(request, obj)
        return (
            "name",
            "hub",
            "names",
            "verbs",
            "expires_at",
            "requests_per_minute",
            *(field for field in told if field != "name"),
        )

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, with the verbs that this person may choose for this key."""
        form = super().get_form(request, obj, change, **kwargs)
        kept = set() if obj is None else set(obj.verbs)
        field = form.base_fields.get("verbs")
        if isinstance(field, forms.MultipleChoiceField):
            field.choices = [(verb.value, verb.value) for verb in Verb if verb.value in kept or may_give(request, verb)]
        return form

    @sensitive_variables("text")
    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Keep the digest of a new key, and its text for this answer only."""
        if not change:
            text = api_keys.new_text()
            api_keys.keep_digest(obj, text)
            obj.created_by_id = request.user.pk
            request.META[ISSUED] = text
        super().save_model(request, obj, form, change)
        deed = Deed.CHANGED_KEY if change else Deed.ISSUED_KEY
        note(request, deed, {**_told(obj), "changed": sorted(form.changed_data)} if change else _told(obj), hub=obj.hub)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The page with the key. It is in no message, cookie or address; the admin lets no cache keep it."""
        context = {**self.admin_site.each_context(request), "title": "API key", "opts": self.opts, "key": obj}
        context["text"] = request.META.pop(ISSUED)
        return TemplateResponse(request, "admin/orchestrations/apikey/issued.html", context)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, rows: Any) -> HttpResponse | None:
        """Ask why, and end the chosen keys at once, and the links that were given to their holders."""
        live = list(rows.filter(revoked_at__isnull=True))
        form = RequiredReasonForm(request.POST if CONFIRMED in request.POST else None)
        if live and not form.is_valid():
            chosen = Chosen(f"{len(live)} key{'s' if len(live) != 1 else ''}", [row.name for row in live])
            return ask(self, request, chosen, form, label="Revoke", effect=EFFECT)
        with transaction.atomic(using=rows.db):
            for row in live:
                row.revoked_at = timezone.now()
                row.save(update_fields=["revoked_at"])
                note(request, Deed.REVOKED_KEY, _told(row), hub=row.hub, reason=form.cleaned_data["reason"])
                self.log_change(request, row, "Revoked.")
        self.message_user(request, f"Revoked {len(live)} key{'s' if len(live) != 1 else ''}.", messages.SUCCESS)
        return None


def _told(key: ApiKey) -> dict[str, Any]:
    return {"key": key.name, "prefix": key.prefix, "verbs": key.verbs, "names": key.names}


def may_give(request: HttpRequest, verb: Verb) -> bool:
    """Whether the person may make keys that open that verb."""
    return all(can(request.user, action) for action in ACTIONS[verb]) and request.user.has_perms(
        PERMISSIONS.get(verb, ())
    )
