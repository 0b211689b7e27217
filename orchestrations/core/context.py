"""What an orchestrator is given: the one object through which it may act.

It answers to the names, argument names and positions of azure-functions-durable 1.x and, where they differ, to those
of the durabletask SDK. It decides nothing itself; ``calls`` does.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from orchestrations.core import calls, entity_calls, patches, questions
from orchestrations.core.composition import WhenAllTask, WhenAnyTask
from orchestrations.core.entity_calls import EntityTask, LockTask
from orchestrations.core.event_waits import wait_for_external_event
from orchestrations.core.events import HistoryEvent
from orchestrations.core.http_calls import HttpCallTask, call_http
from orchestrations.core.http_messages import TokenSource
from orchestrations.core.human import Quorum, Reviewers
from orchestrations.core.questions import Timeout
from orchestrations.core.retries import RetryPolicy
from orchestrations.core.tasks import ActionTask, ExternalEventTask, Task, TimerTask

if TYPE_CHECKING:
    from orchestrations.core.execution import Execution

# As Durable Task's SDKs have it, so that ids agree with theirs.
UUID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "9e952958-5e33-4daf-827f-2fa12937b875")


class _Missing:
    def __repr__(self) -> str:
        return "<not given>"


MISSING: Any = _Missing()


def _either(name: object, alias: object) -> object:
    """The function that is given under one of the two names that the libraries have for that argument."""
    given = name if alias is MISSING else alias
    if given is MISSING:
        raise TypeError("A function is missing: give it by reference or by name.")
    return given


class OrchestrationContext:
    """The orchestrator's side of one execution. Valid only inside the orchestrator that it was made for."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._uuids = 0

    # Facts -------------------------------------------------------------------------------------------------------

    @property
    def instance_id(self) -> str:
        """The instance's id."""
        return self._execution.facts.instance_id

    @property
    def parent_instance_id(self) -> str | None:
        """The parent's id, or None for an instance that is nobody's child.

        Also None in an execution that began after the parent was purged.
        """
        return self._execution.facts.parent_instance_id

    @property
    def name(self) -> str:
        """The orchestrator's name."""
        return self._execution.facts.name

    @property
    def version(self) -> str | None:
        """The version that the instance was started with, or None for an instance without one."""
        return self._execution.facts.version or None

    @property
    def tags(self) -> Mapping[str, str]:
        """The instance's tags as they were when this execution began; a replay must find the same."""
        return self._execution.facts.tags

    @property
    def current_utc_datetime(self) -> datetime:
        """The orchestration's clock, aware UTC: when the event that is being processed was recorded.

        The same on every replay, constant between two waits, and never earlier than before.
        """
        return self._execution.clock

    @property
    def is_replaying(self) -> bool:
        """Whether the code runs over recorded history, as opposed to something new."""
        return self._execution.is_replaying

    @property
    def custom_status(self) -> Any:
        """The custom status as it was last set."""
        return self._execution.functions.decode(self._execution.custom_status, None, "the custom status")

    @property
    def will_continue_as_new(self) -> bool:
        """Whether continue_as_new has been called."""
        return self._execution.continue_with is not None

    @property
    def histories(self) -> list[HistoryEvent]:
        """What the orchestrator has scheduled so far (activities, sub-orchestrations and timers), in order."""
        return calls.scheduled_so_far(self._execution)

    @property
    def function_context(self) -> SimpleNamespace:
        """What a host adds to the binding in azure-functions-durable 1.x; here there is none, and so no attribute."""
        return SimpleNamespace()

    def get_input(self, expected_type: object = None) -> Any:
        """The input as ``expected_type``, else as the annotation of the second parameter asks where there is one.

        Raises PayloadRejected where it can't be converted.
        """
        text = self._execution.facts.input
        if expected_type is None:
            return self._execution.definition.decode_input(text)
        return self._execution.functions.decode(text, expected_type, f"orchestrator {self.name!r}: input")

    # Work --------------------------------------------------------------------------------------------------------

    def call_activity(
        self,
        name: object = MISSING,
        input_: object = None,
        expected_type: object = None,
        *,
        activity: object = MISSING,
        input: object = MISSING,
        retry: RetryPolicy | None = None,
        retry_policy: RetryPolicy | None = None,
        timeout: timedelta | float | None = None,
        heartbeat_timeout: timedelta | float | None = None,
        tags: dict[str, str] | None = None,
        return_type: object = None,
    ) -> ActionTask:
        """Run an activity, given by reference or by name, and get its result, as ``return_type`` where one is given.

        ``timeout`` (seconds or timedelta) bounds each attempt; past it the attempt fails with a TimeoutError, as does
        one that sends no heartbeat for as long as ``heartbeat_timeout``. Raises TaskFailedError at the ``yield`` or
        ``await`` if it fails and its retries are used up, and PayloadRejected here if the input can't be encoded. The
        activity runs at least once.
        """
        return calls.call_activity(
            self._execution,
            _either(name, activity),
            input_ if input is MISSING else input,
            retry or retry_policy,
            timeout,
            heartbeat_timeout,
            tags,
            return_type or expected_type,
        )

    def call_activity_with_retry(
        self, name: object, retry_options: RetryPolicy, input_: object = None, expected_type: object = None
    ) -> ActionTask:
        """``call_activity`` with a retry policy, as in azure-functions-durable 1.x."""
        return self.call_activity(name, input_, expected_type, retry=retry_options)

    def call_sub_orchestrator(
        self,
        name: object = MISSING,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        expected_type: object = None,
        *,
        orchestrator: object = MISSING,
        input: object = MISSING,
        retry: RetryPolicy | None = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: object = None,
    ) -> ActionTask:
        """Run another orchestrator as a child and get its result, as ``return_type`` where one is given.

        The child's id is ``{parent}:{task id}`` unless given. Raises TaskFailedError at the ``yield`` or ``await`` if
        the child fails or is terminated, or if a live instance has the id.
        """
        return calls.call_sub_orchestrator(
            self._execution,
            _either(name, orchestrator),
            input_ if input is MISSING else input,
            instance_id,
            version,
            retry or retry_policy,
            tags,
            return_type or expected_type,
        )

    def call_sub_orchestrator_with_retry(
        self,
        name: object,
        retry_options: RetryPolicy,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        expected_type: object = None,
    ) -> ActionTask:
        """``call_sub_orchestrator`` with a retry policy, as in azure-functions-durable 1.x."""
        return self.call_sub_orchestrator(name, input_, instance_id, version, expected_type, retry=retry_options)

    def start_new(
        self, name: object, input_: object = None, instance_id: str | None = None, *, version: str | None = None
    ) -> str:
        """Start another instance, go on, and never hear of it again. Returns its id."""
        return calls.start_new(self._execution, name, input_, instance_id, version)

    def call_http(
        self,
        method: str,
        uri: str,
        content: object = None,
        headers: Mapping[str, object] | None = None,
        token_source: TokenSource | None = None,
        is_raw_str: bool = False,
        *,
        retry: RetryPolicy | None = None,
        retry_policy: RetryPolicy | None = None,
        timeout: timedelta | float | None = None,
        asynchronous_pattern_enabled: bool = True,
    ) -> HttpCallTask:
        """Send an HTTP request, and get the answer as a DurableHttpResponse, whatever its status.

        The ``content`` is sent as JSON, a text too, as by azure-functions-durable 1.x; ``is_raw_str`` sends a text as
        it is. Headers are texts, or HttpSecret for what must not be in the history. A 202 with a Location is followed
        by polling there, with durable timers, until the answer is another one, unless ``asynchronous_pattern_enabled``
        is False. ``retry`` is a RetryPolicy for requests that get no answer, or HttpRetryOptions for some answers too.
        ``timeout`` (seconds or timedelta) bounds the whole call, polls included.

        Raises TaskFailedError at the ``yield`` or ``await`` where a request gets no answer or is refused, TimeoutError
        past the timeout, and ValueError or TypeError here for what can be no request. Requests are sent at least once.
        """
        return call_http(
            self._execution,
            method,
            uri,
            content,
            headers,
            token_source,
            policy=retry or retry_policy,
            timeout=timeout,
            asynchronous_pattern_enabled=asynchronous_pattern_enabled,
            is_raw_str=is_raw_str,
        )

    # Entities ----------------------------------------------------------------------------------------------------

    def call_entity(
        self,
        entityId: object = None,
        operationName: str = "",
        operationInput: object = None,
        expected_type: object = None,
        *,
        entity: object = None,
        operation: str = "",
        input: object = MISSING,
        return_type: object = None,
    ) -> EntityTask:
        """Ask an operation of an entity, which need not exist, and get its result, as ``return_type`` where given.

        Raises TaskFailedError at the ``yield`` or ``await`` if the operation fails, whose changes are undone then, and
        LockingRulesViolation here for a call that the lock does not allow. The operation happens once.
        """
        reference = entity if entityId is None else entityId
        value = operationInput if input is MISSING else input
        name, as_type = operationName or operation, return_type or expected_type
        return entity_calls.call_entity(self._execution, reference, name, value, as_type)

    def signal_entity(
        self,
        entityId: object = None,
        operation_name: str = "",
        operation_input: object = None,
        signal_time: datetime | None = None,
        *,
        entity_id: object = None,
        operationName: str = "",
        operationInput: object = None,
        input: object = MISSING,
    ) -> None:
        """Ask an operation of an entity and go on. It is begun not before ``signal_time`` (a naive one is UTC).

        Raises LockingRulesViolation for an entity that is locked by this orchestrator.
        """
        reference = entity_id if entityId is None else entityId
        given = operationInput if operation_input is None else operation_input
        value = given if input is MISSING else input
        name = operation_name or operationName
        entity_calls.signal_entity(self._execution, reference, name, value, signal_time)

    def lock_entities(self, entities: Iterable[object]) -> LockTask:
        """Hold entities, so that no other orchestration or client changes them meanwhile.

        ``with (yield context.lock_entities([a, b])):``, or ``async with await ...``. They are taken one after another
        in the order of their ids, which is why nobody waits in a circle, and let go at the end of the block or of the
        orchestration. Inside, only they may be called, each by one call at a time, nothing may be locked further, and
        no sub-orchestration may run: all else raises LockingRulesViolation.
        """
        return entity_calls.lock_entities(self._execution, entities)

    # Time and events ---------------------------------------------------------------------------------------------

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """A durable timer of any length. A naive datetime is UTC; a moment that has passed fires at once."""
        return calls.create_timer(self._execution, fire_at)

    def wait_for_external_event(
        self,
        name: str,
        expected_type: object = None,
        *,
        data_type: object = None,
        timeout: timedelta | float | None = None,
        default: Any = MISSING,
        title: str | None = None,
        summary: Mapping[str, object] | None = None,
        groups: Sequence[str] = (),
        permission: str | None = None,
        form: object = MISSING,
        description: str = MISSING,
        initial: object = MISSING,
        assign: Reviewers = MISSING,
        quorum: Quorum = MISSING,
        due: datetime | timedelta | float = MISSING,
        remind: Iterable[timedelta | float] = MISSING,
        escalate: Reviewers = MISSING,
        escalate_after: timedelta | float = MISSING,
        on_timeout: object = MISSING,
        notify: Iterable[str] = MISSING,
        priority: int = MISSING,
        undo: timedelta | float = MISSING,
    ) -> ExternalEventTask:
        """Wait for an external event of that name, in any case; events wait in line until one is awaited.

        Its value is converted to ``data_type`` where one is given.

        ``timeout`` (seconds or timedelta) ends the wait with ``default``, or with TimeoutError where none is given.
        A ``title`` makes it a request to a person: it appears among the approvals with the ``summary``, for members of
        ``groups`` or holders of ``permission`` where these are given, and the answer is
        ``{"approved": bool, "comment": str, "by": username}``.

        A ``form`` (Django form, dataclass, pydantic model, TypedDict) or any argument behind it makes it a question
        whose answer is a HumanAnswer; without a form ``data_type`` is it, or a verdict with a comment. It is put to
        ``assign``, decided by ``quorum``, and ends when it is ``due``: with the answer ``on_timeout``, or with
        HumanTimeout. ``remind`` and ``escalate_after`` count from now; ``undo`` is how long a decision may be taken
        back. See "Ask a person" in the documentation. Raises ValueError or TypeError for what can be no question.
        """
        data_type = data_type or expected_type
        limit = Timeout(timeout, None if default is MISSING else default, default is not MISSING)
        asked = {
            "form": form, "description": description, "initial": initial, "assign": assign, "quorum": quorum,
            "due": due, "remind": remind, "escalate": escalate, "escalate_after": escalate_after,
            "on_timeout": on_timeout, "notify": notify, "priority": priority, "undo": undo,
        }  # fmt: skip
        is_given = (option for option, value in asked.items() if value is not MISSING and value is not None)
        asked = {option: asked[option] for option in is_given}
        shown = {"title": title, "summary": summary, "groups": groups, "permission": permission}
        if asked:
            return questions.ask(self._execution, name, data_type, limit, shown, asked)
        if title:
            return questions.ask_for_verdict(self._execution, name, data_type, limit, str(title), shown)
        return wait_for_external_event(self._execution, name, data_type, limit.deadline(self._execution))

    def send_event(self, instance_id: str, event_name: str, data: object = None) -> None:
        """Raise an external event for another instance. An unknown or ended instance drops it silently."""
        calls.send_event(self._execution, instance_id, event_name, data)

    def task_all(self, activities: Iterable[Task]) -> WhenAllTask:
        """All of them: the results in argument order, or the first failure in time once all have ended."""
        return WhenAllTask(activities)

    def task_any(self, activities: Iterable[Task]) -> WhenAnyTask:
        """The first of them to end; the result is that task. The others go on."""
        return WhenAnyTask(activities)

    # The execution itself ----------------------------------------------------------------------------------------

    def set_custom_status(self, status: object = None, *, custom_status: object = MISSING) -> None:
        """Show a JSON value with the instance, from the next checkpoint on."""
        calls.set_custom_status(self._execution, status if custom_status is MISSING else custom_status)

    def continue_as_new(
        self,
        input_: object = None,
        *,
        new_input: object = MISSING,
        save_events: bool = True,
        new_version: str | None = None,
    ) -> None:
        """Begin again with that input and an empty history, under the same id.

        The code goes on to its next wait or return, which is ignored. External events that nobody has taken are
        carried over in order, unless ``save_events`` is False.
        """
        value = input_ if new_input is MISSING else new_input
        calls.continue_as_new(self._execution, value, save_events, new_version)

    # Determinism -------------------------------------------------------------------------------------------------

    def new_uuid(self) -> str:
        """A UUID as text, the same on every replay; two calls give two, also in two generations of an instance."""
        return str(self.new_guid())

    def new_guid(self) -> uuid.UUID:
        """``new_uuid`` as a UUID."""
        # From the second generation on: the clock, and with it the name, may be the same after continue_as_new.
        generation = f"{self._execution.generation:x}." if self._execution.generation > 1 else ""
        moment = f"{self.current_utc_datetime:%Y-%m-%dT%H:%M:%S.%fZ}"
        name = f"{self.instance_id}_{moment}_{generation}{self._uuids}"
        self._uuids += 1
        return uuid.uuid5(UUID_NAMESPACE, name)

    def patched(self, patch_id: str) -> bool:
        """Whether this execution takes the new path of a change of the code: True for whoever comes here anew.

        False in an execution that had passed this place before the change. The first True is recorded as PatchApplied,
        so that every replay takes the same path; every later call with that id gives the same answer. Raises ValueError
        for an id that is no line of at most 256 characters.
        """
        return patches.patched(self._execution, patch_id)

    def deprecate_patch(self, patch_id: str) -> None:
        """Say that the code has only the new path of that patch left, once no execution on the old one is live.

        It fits histories with the patch, and marks new ones so that code which still asks ``patched`` fits them. When
        no execution from before this call is live, the call may go as well: such a mark asks for nothing.
        """
        patches.deprecate_patch(self._execution, patch_id)

    def create_replay_safe_logger(self, logger: logging.Logger) -> ReplaySafeLogger:
        """A logger that is silent while the code replays, so that each line is logged once."""
        return ReplaySafeLogger(logger, self)


DurableOrchestrationContext = OrchestrationContext
"""The name that azure-functions-durable 1.x has for it in annotations."""


class ReplaySafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Passes records on only outside replay, with the instance's id on each as ``instance_id``."""

    def __init__(self, logger: logging.Logger, context: OrchestrationContext) -> None:
        super().__init__(logger, {"instance_id": context.instance_id})
        self._context = context

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the instance's id to what the call gives as ``extra``."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs

    def isEnabledFor(self, level: int) -> bool:
        """Whether a record of that level would be passed on now; never while the code replays."""
        return not self._context.is_replaying and super().isEnabledFor(level)
