"""Starting instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrations.access.permissions import Action
from orchestrations.authoring.registry import registry
from orchestrations.authoring.versions import choose_code, new_version
from orchestrations.client.arguments import check_instant, check_tags, check_version
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient, SerializedJson
from orchestrations.client.instance_ids import check_instance_id, new_instance_id
from orchestrations.errors import InstanceAlreadyExists, InstanceNotFound
from orchestrations.models import Instance
from orchestrations.models.instances import START_COLUMNS
from orchestrations.store.contract import Created, NewInstance, OnDuplicate
from orchestrations.webhooks import announcements


@dataclass(frozen=True, slots=True)
class Started:
    """What a start led to."""

    instance_id: str
    is_new: bool
    """Whether this call started it; else it was there already."""


class Starting(HubClient):
    """Starts and restarts."""

    def start_new(
        self,
        orchestration_function_name: object,
        instance_id: str | None = None,
        client_input: object = None,
        version: str | None = None,
        *,
        start_at: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        on_duplicate: OnDuplicate | str = OnDuplicate.REPLACE_TERMINAL,
    ) -> str:
        """Start an orchestration, given as function or by name, and return its instance id.

        It begins once the caller's transaction has committed, and not before ``start_at``. By default an ended instance
        under the same id is replaced with its history and a live one refused; of concurrent starts exactly one wins.
        With ``on_duplicate="terminate"`` a live one is ended, with its sub-orchestrations, and replaced as well.

        Raises FunctionNotRegistered, InvalidInstanceId, PayloadRejected (input or tags) and InstanceAlreadyExists.
        """
        started = self.start(
            orchestration_function_name,
            instance_id,
            client_input,
            start_at=start_at,
            tags=tags,
            version=version,
            on_duplicate=on_duplicate,
        )
        return started.instance_id

    def start(
        self,
        orchestration: object,
        instance_id: str | None = None,
        client_input: object = None,
        *,
        start_at: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        version: str | None = None,
        on_duplicate: OnDuplicate | str = OnDuplicate.RETURN_EXISTING,
    ) -> Started:
        """``start_new`` that by default leaves an instance of that id as it is, and says whether it started one.

        Of concurrent starts exactly one is told that it did. Raises what ``start_new`` raises.
        """
        instance = self._new_instance(orchestration, instance_id, client_input, tags, version)
        instance.start_at = check_instant(start_at, "start_at")
        policy = OnDuplicate(on_duplicate)
        details = {"on_duplicate": policy.value} if policy is OnDuplicate.TERMINATE else None
        [outcome] = self._create([instance], policy, Action.START, details)
        return Started(outcome.instance_id, outcome.created)

    def start_many(
        self, orchestration: object, inputs: Iterable[object], *, tags: Mapping[str, str] | None = None
    ) -> list[str]:
        """Start one instance for each input, all of them or none, and return their ids in the order of the inputs.

        Raises FunctionNotRegistered and PayloadRejected.
        """
        instances = [self._new_instance(orchestration, None, value, tags, None) for value in inputs]
        if instances:
            self._create(instances, OnDuplicate.ERROR, Action.START)
        return [instance.instance_id for instance in instances]

    def restart(self, instance_id: str, restart_with_new_instance_id: bool = True) -> str:
        """Start the same orchestration with the input and version that it was started with, and return the instance id.

        By default under a new id, whatever the status; else under the same one, which must have ended. What
        continue-as-new has made of input and version does not count. Tags are the present ones, and there is no parent.
        Raises InstanceNotFound, InstanceAlreadyExists, FunctionNotRegistered and PayloadUnavailable.
        """
        row = self._rows(instance_id).only("instance_id", "name", *START_COLUMNS).first()
        if row is None:
            raise InstanceNotFound(instance_id)
        again = self._again(row, None if restart_with_new_instance_id else row.instance_id)
        self._create([again], OnDuplicate.REPLACE_TERMINAL, Action.RESTART, {"restarted": row.instance_id})
        return again.instance_id

    astart_new = async_twin(start_new)
    astart = async_twin(start)
    astart_many = async_twin(start_many)
    arestart = async_twin(restart)

    def _again(self, row: Instance, instance_id: str | None = None) -> NewInstance:
        """What starts the row's orchestration again. Raises FunctionNotRegistered and PayloadUnavailable."""
        return NewInstance(
            instance_id=new_instance_id() if instance_id is None else instance_id,
            name=registry.orchestrator(row.name).name,
            version=row.start_version,
            input=row.start_input,
            tags=dict(row.tags),
            has_fresh_id=instance_id is None,
        )

    def _create(
        self,
        instances: list[NewInstance],
        on_duplicate: OnDuplicate,
        action: Action,
        details: Mapping[str, Any] | None = None,
    ) -> Sequence[Created]:
        is_alone = self.actor is None and all(instance.has_fresh_id for instance in instances)
        with self._writing(one_statement=is_alone):
            outcomes = self._store.create_instances(instances, on_duplicate)
            for outcome in outcomes:
                if not outcome.created and on_duplicate is not OnDuplicate.RETURN_EXISTING:
                    raise InstanceAlreadyExists(outcome.instance_id, outcome.existing_status or "Pending")
            started = [outcome.instance_id for outcome in outcomes if outcome.created]
            self._audit(action, started, details={"orchestrator": instances[0].name, **(details or {})})
            if ended := [outcome.ended for outcome in outcomes if outcome.ended is not None]:
                announcements.record(self.hub, self.using, ended)
        return outcomes

    def _new_instance(
        self,
        orchestration: object,
        instance_id: str | None,
        value: object,
        tags: Mapping[str, str] | None,
        version: str | None,
    ) -> NewInstance:
        name = self._functions.orchestrator_name(orchestration)
        newest = registry.orchestrator(name)
        chosen = check_version(new_version(name, orchestration) if version is None else version)
        definition = choose_code(name, chosen).definition or newest
        text = value.text if isinstance(value, SerializedJson) else definition.encode_input(value)
        definition.decode_input(text)  # whether it fits is told now, not by a failed instance
        return NewInstance(
            instance_id=new_instance_id() if instance_id is None else check_instance_id(instance_id),
            name=definition.name,
            version=chosen,
            input=text,
            tags=check_tags(tags),
            has_fresh_id=instance_id is None,
        )
