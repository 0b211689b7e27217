"""Tags of instances, which may change as long as the instance is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrations.access.permissions import Action
from orchestrations.client.arguments import check_reason, check_tags
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.errors import PayloadRejected
from orchestrations.limits import TAGS


class Tagging(HubClient):
    """Sets and removes tags."""

    def set_tags(
        self,
        instance_id: str,
        tags: Mapping[str, str] | None = None,
        *,
        remove: Iterable[str] = (),
        reason: str = "",
    ) -> dict[str, str]:
        """Set these tags of an instance, whatever its status, remove others by name, and return all that it has then.

        Tags that are not named stay. An orchestrator goes on seeing those with which its execution began. The
        instance's row is locked until the caller's transaction ends.
        Raises InstanceNotFound, and PayloadRejected also where there would be more than TAGS.
        """
        changes = tag_changes(tags, remove)
        target = self._target(instance_id)
        with self._writing():
            before = self._tags(instance_id) if self.actor is not None else {}
            if not self._store.change_tags([target.pk], changes, TAGS):
                self._target(instance_id)  # says so if it is gone
                raise PayloadRejected(TOO_MANY, subject="tags")
            self._audit(Action.SET_TAGS, [target.instance_id], check_reason(reason), tag_details(changes, before))
            return self._tags(instance_id)

    aset_tags = async_twin(set_tags)

    def _tags(self, instance_id: str) -> dict[str, str]:
        return dict(self._rows(instance_id).values_list("tags", flat=True).first() or {})


TOO_MANY = f"The instance would have more than {TAGS} tags. Remove some first."


def parted(changes: Mapping[str, str | None]) -> tuple[dict[str, str], list[str]]:
    """Changes of tags as ``set_tags`` takes them: those to set, and the names of those that are None, to remove."""
    set_to = {name: value for name, value in changes.items() if value is not None}
    return set_to, [name for name, value in changes.items() if value is None]


def tag_changes(tags: Mapping[str, str] | None, remove: Iterable[str] = ()) -> dict[str, str | None]:
    """What to make of each tag, None to remove it. Raises PayloadRejected, also where nothing would change."""
    removed = check_tags(dict.fromkeys(remove, ""))
    changes: dict[str, str | None] = {**dict.fromkeys(removed), **check_tags(tags)}
    if not changes:
        raise PayloadRejected("No tag is named. Set at least one, or remove one.", subject="tags")
    if both := [name for name in removed if changes[name] is not None]:
        raise PayloadRejected(f"The tag {both[0]!r} is both set and removed. Do one of the two.", subject="tags")
    return changes


def tag_details(changes: Mapping[str, str | None], before: Mapping[str, str]) -> dict[str, object]:
    """The changes as the audit trail keeps them, with the values that the tags had before."""
    set_to, removed = parted(changes)
    former = {name: value for name, value in before.items() if changes.get(name, value) != value}
    return {key: value for key, value in {"set": set_to, "removed": sorted(removed), "before": former}.items() if value}
