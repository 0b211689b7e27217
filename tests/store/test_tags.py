"""Changing the tags of instances."""

from __future__ import annotations

import pytest

from orchestrations.models import Instance
from orchestrations.store import tags
from orchestrations.store.contract import NewInstance

pytestmark = pytest.mark.django_db


def tags_of(*ids: str) -> list[dict[str, str]]:
    return [Instance.objects.get(instance_id=instance_id).tags for instance_id in ids]


def test_named_tags_are_set_and_removed_and_the_others_stay(store, start):
    pk = start(tags={"team": "a", "stage": "test", "old": "x"})

    assert store.change_tags([pk], {"stage": "live", "old": None, "new": "y", "never": None}, 50) == {pk}
    assert tags_of("order-1") == [{"team": "a", "stage": "live", "new": "y"}]


def test_a_change_shows_in_the_time_of_the_last_update(store, start):
    pk = start()
    before = Instance.objects.get().last_updated_at
    Instance.objects.update(last_updated_at=before.replace(year=2020))

    store.change_tags([pk], {"a": "b"}, 50)

    assert Instance.objects.get().last_updated_at >= before


def test_one_that_would_have_too_many_is_left_alone(store, monkeypatch):
    monkeypatch.setattr(tags, "BATCH", 2)
    names = [f"order-{number}" for number in range(5)]
    store.create_instances([NewInstance(name, "order", tags={"a": "1"} if name == "order-3" else {}) for name in names])
    pks = dict(Instance.objects.values_list("instance_id", "pk"))

    changed = store.change_tags(pks.values(), {"b": "2"}, 1)

    assert changed == set(pks.values()) - {pks["order-3"]}
    assert tags_of("order-3", "order-4") == [{"a": "1"}, {"b": "2"}]


def test_instances_of_other_hubs_and_entities_have_none(store, start):
    pk = start()
    Instance.objects.update(is_entity=True)

    assert store.change_tags([pk, 404], {"a": "b"}, 50) == set()
    Instance.objects.update(is_entity=False)
    assert type(store)("elsewhere", "default").change_tags([pk], {"a": "b"}, 50) == set()
