"""Addresses that several pages and the admin give: the instances list with a filter, and entities."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import NoReverseMatch, reverse

from orchestrations.core.entity_ids import EntityId, is_entity_id
from orchestrations.search.language import Query, write


def list_url(hub: str, query: Query) -> str:
    """The list with that filter, so that a number leads to what it counts: sub-orchestrations are listed too."""
    return f"{reverse('dashboard:instances', args=[hub])}?{urlencode({'q': write(replace(query, children=True))})}"


def view_url(hub: str, query: str, sort: str) -> str:
    """The list as a saved view shows it."""
    given = urlencode({key: value for key, value in (("q", query), ("sort", sort)) if value})
    address = reverse("dashboard:instances", args=[hub])
    return f"{address}?{given}" if given else address


def target_url(hub: str, instance_id: str) -> str:
    """The page of what a row of the audit trail names: an instance, an entity, all entities; empty for the hub."""
    if not instance_id:
        return ""
    if not is_entity_id(instance_id):
        return reverse("dashboard:instance", args=[hub, instance_id])
    try:
        return entity_url(hub, EntityId.parse(instance_id))
    except ValueError:
        return reverse("dashboard:entities", args=[hub])


def admin_url(model: type[Model], **filters: object) -> str:
    """The model's list in the Django admin; empty where the site has none."""
    try:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    except NoReverseMatch:
        return ""
    return f"{address}?{urlencode(filters)}" if filters else address


def entity_url(hub: str, entity_id: EntityId, view: str = "dashboard:entity") -> str:
    """The page of the entity, or another one about it."""
    return reverse(view, args=[hub, entity_id.name, *([entity_id.key] if entity_id.key else [])])
