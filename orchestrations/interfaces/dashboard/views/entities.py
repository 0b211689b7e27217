"""Entities: found by name and key, their state and lock, what waits for them, signals to them, and cleaning up."""

from __future__ import annotations

from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from orchestrations.access.permissions import Action, Function, can, can_somewhere, names_open_to
from orchestrations.authoring.registry import registry
from orchestrations.conf import get_config
from orchestrations.core.entities import decode_callers
from orchestrations.core.entity_ids import EntityId
from orchestrations.core.identifiers import check_operation_name
from orchestrations.errors import FunctionNotRegistered, InvalidCursor, PayloadRejected
from orchestrations.interfaces.dashboard.access import check_hub, client_of, needs, person, require, signed_in
from orchestrations.interfaces.dashboard.act_forms import JsonField, RequiredReasonForm
from orchestrations.interfaces.dashboard.links import entity_url
from orchestrations.interfaces.dashboard.live import topics
from orchestrations.interfaces.dashboard.live.answering import answer
from orchestrations.interfaces.dashboard.moment_field import MomentField
from orchestrations.interfaces.dashboard.presentation.payloads import read_payload
from orchestrations.interfaces.dashboard.presentation.queued import done, queued
from orchestrations.interfaces.dashboard.versions import entity_version
from orchestrations.limits import INSTANCE_ID_LENGTH, NAME_LENGTH
from orchestrations.models import Entity, InboxMessage
from orchestrations.reading import queries

QUEUED_SHOWN = 20
ENTRIES_SHOWN = 10


class EntityFilterForm(forms.Form):
    """Which entities, all of it in the URL."""

    name = forms.CharField(label="Name", max_length=NAME_LENGTH, required=False)
    key = forms.CharField(label="Key begins with", max_length=INSTANCE_ID_LENGTH, required=False, strip=False)
    deleted = forms.BooleanField(label="Deleted ones too", required=False)


class SignalForm(forms.Form):
    """An operation to ask of an entity."""

    operation = forms.CharField(max_length=NAME_LENGTH, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    value = JsonField(label="Input (JSON)")
    at = MomentField(label="Not before", required=False, help_text="At once where this is left empty.")

    def clean_operation(self) -> str:
        """A name that an operation can have."""
        try:
            return check_operation_name(self.cleaned_data["operation"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


@require_GET
@needs(Action.VIEW, narrowed=True)
def index(request: HttpRequest, *, hub: str) -> HttpResponse:
    """A page of entities, the latest operation first."""
    form = EntityFilterForm(request.GET)
    context: dict[str, object] = {**_where(hub), "form": form, "may_clean": can(person(request), Action.CLEAN_ENTITIES)}
    if form.is_valid():
        context |= _found(request, hub, form.cleaned_data)
    return render(request, "dashboard/entities/index.html", context, status=200 if form.is_valid() else 422)


@require_GET
@signed_in
def one(request: HttpRequest, *, hub: str, name: str, key: str = "") -> HttpResponse:
    """How an entity stands."""
    entity_id, row = _find(request, hub, name, key)
    return render(request, "dashboard/entities/entity.html", _described(request, hub, entity_id, row))


@require_GET
@signed_in
def live(request: HttpRequest, *, hub: str, name: str, key: str = "") -> HttpResponse:
    """The same, as it stands now, for a page that is open."""
    entity_id, row = _find(request, hub, name, key)
    return render(request, "dashboard/entities/_entity.html", _described(request, hub, entity_id, row))


@require_GET
@signed_in
def tick(request: HttpRequest, *, hub: str, name: str, key: str = "") -> HttpResponseBase:
    """Whether the entity did anything, or anything was sent to it."""
    _, row = _find(request, hub, name, key)
    watched = {"entity": topics.entity(row.instance_id), "arrivals": topics.arrivals(row.instance_id)}
    return answer(request, watched)


@require_http_methods(["GET", "POST"])
@signed_in
def signal(request: HttpRequest, *, hub: str, name: str, key: str = "") -> HttpResponse:
    """Ask for an operation, and send it: the entity need not exist yet."""
    check_hub(hub)
    entity_id = _entity_id(name, key)
    if not can(person(request), Action.SIGNAL_ENTITY, Function(hub, entity_id.name)):
        raise PermissionDenied(f"That needs the permission {Action.SIGNAL_ENTITY.permission}.")
    form = SignalForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            client_of(request, hub).signal_entity(entity_id, given["operation"], given["value"], given["at"])
        except (FunctionNotRegistered, PayloadRejected) as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, f"The signal {given['operation']} is on its way.")
            return redirect(entity_url(hub, entity_id))
    context = {**_where(hub), "entity_id": entity_id, "entity_url": entity_url(hub, entity_id), "form": form}
    return render(request, "dashboard/entities/signal.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@signed_in
def clean(request: HttpRequest, *, hub: str) -> HttpResponse:
    """Ask why, and remove entities without a state, and release locks whose owner has ended."""
    check_hub(hub)
    require(request, Action.CLEAN_ENTITIES)
    form = RequiredReasonForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        context = {**_where(hub), "form": form}
        return render(request, "dashboard/entities/clean.html", context, status=422 if form.errors else 200)
    done = client_of(request, hub).clean_entity_storage(reason=form.cleaned_data["reason"])
    removed, released = done.empty_entities_removed, done.orphaned_locks_released
    messages.success(request, f"Removed {removed:,} empty entities, and released {released:,} orphaned locks.")
    return redirect("dashboard:entities", hub=hub)


def _found(request: HttpRequest, hub: str, given: dict[str, object]) -> dict[str, object]:
    where = queries.EntityFilter(
        name=str(given["name"]),
        key_prefix=str(given["key"]),
        include_deleted=bool(given["deleted"]),
        visible=names_open_to(person(request), Action.VIEW, hub),
    )
    try:
        page = queries.list_entities(hub, where, cursor=request.GET.get("cursor"))
    except InvalidCursor as invalid:
        raise Http404(str(invalid)) from invalid
    return {
        "rows": [(row, entity_url(hub, EntityId(row.name, row.key))) for row in page.items],
        "names": sorted(registry.entities()),
        "is_filtered": bool(given["name"] or given["key"]),
        "newer": _page(request, hub, page.previous_cursor),
        "older": _page(request, hub, page.next_cursor),
    }


def _described(request: HttpRequest, hub: str, entity_id: EntityId, row: Entity) -> dict[str, object]:
    user, target = person(request), Function(hub, entity_id.name)
    arrived = topics.version(topics.arrivals(row.instance_id))
    sees_payloads = can(user, Action.VIEW_PAYLOADS, target)
    queue = InboxMessage.objects.using(get_config().database).filter(instance_id=row.instance_id).order_by("pk")
    queue = queue.only("hub", "type", "name", "attributes", "created_at", "visible_at")[:QUEUED_SHOWN]
    sees_all, now = can(user, Action.VIEW), timezone.now()
    return {
        **_where(hub),
        "entity_id": entity_id,
        "row": row,
        "state": read_payload(lambda: row.state) if sees_payloads else None,
        "sees_payloads": sees_payloads,
        "owner_is_visible": bool(row.locked_by) and sees_all,
        "queued": [queued(message, now, links=sees_all) for message in queue],
        "callers": [done(hub, one, links=sees_all) for one in reversed(decode_callers(row.callers))],
        "entries": queries.audit(hub, str(entity_id), limit=ENTRIES_SHOWN).items,
        "may_signal": can(user, Action.SIGNAL_ENTITY, target),
        "watch": f"entity:{entity_version(row.last_operation_at, row.locked_by, row.backlog)},arrivals:{arrived}",
        "live_url": entity_url(hub, entity_id, "dashboard:entity_live"),
        "tick_url": entity_url(hub, entity_id, "dashboard:entity_tick"),
        "signal_url": entity_url(hub, entity_id, "dashboard:entity_signal"),
    }


def _find(request: HttpRequest, hub: str, name: str, key: str) -> tuple[EntityId, Entity]:
    """The entity; who may not see it is told what somebody is told who asks for one that never was."""
    check_hub(hub)
    entity_id = _entity_id(name, key)
    user = person(request)
    if not can_somewhere(user, Action.VIEW, hub):
        require(request, Action.VIEW)
    row = queries.get_entity(hub, entity_id) if can(user, Action.VIEW, Function(hub, entity_id.name)) else None
    if row is None:
        raise Http404(f"No entity has the id {entity_id}.")
    return entity_id, row


def _entity_id(name: str, key: str) -> EntityId:
    try:
        return EntityId(name, key)
    except ValueError as error:
        raise Http404(str(error)) from error


def _page(request: HttpRequest, hub: str, cursor: str | None) -> str:
    if cursor is None:
        return ""
    kept = {key: request.GET[key] for key in ("name", "key", "deleted") if request.GET.get(key)}
    return f"{reverse('dashboard:entities', args=[hub])}?{urlencode({**kept, 'cursor': cursor})}"


def _where(hub: str) -> dict[str, object]:
    return {"hub": hub, "section": "entities"}
