"""Every error that the app raises on purpose.

Each carries a stable ``code`` that interfaces map to a status, and a message of two sentences: what happened, and what
to do about it. A class path found in the database is data and is never imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured


class DurableError(Exception):
    """The root of all errors of this app; not raised itself."""

    code = "durable_error"


class ConfigurationError(DurableError, ImproperlyConfigured):
    """A setting or a function declaration can't work; raised while the site starts."""

    code = "configuration"


class FunctionNotRegistered(DurableError):
    """No orchestrator, activity or entity of that name is registered in this process."""

    code = "function_not_registered"
    is_non_retriable = True

    def __init__(self, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.name = name
        self.known = known
        listed = f" Known: {', '.join(known)}." if known else ""
        super().__init__(
            f"No {kind} named {name!r} is registered. Define it with @{kind} in the orchestrations.py of an installed "
            f"app, or name that app in DURABLE_APPS.{listed}"
        )


class VersionMismatch(DurableError):
    """The code of this process may not run an instance of that version."""

    code = "version_mismatch"
    is_non_retriable = True

    def __init__(self, name: str, version: str, own: Sequence[str], strategy: str) -> None:
        self.name = name
        self.version = version
        wanted = f"version {version!r}" if version else "no version"
        here = ", ".join(repr(one) if one else "without a version" for one in own)
        super().__init__(
            f"The instance of {name!r} has {wanted}, and the code here is {here}, which VERSION_MATCH={strategy!r} "
            "keeps apart. Run a worker with that code, or declare that version beside the newer one."
        )


class InvalidInstanceId(DurableError, ValueError):
    """An instance id breaks the rules for ids (1 to 256 characters, no control character, none of ``/ \\ # ?``)."""

    code = "invalid_instance_id"


class InvalidPattern(DurableError, ValueError):
    """A grant or a key is given a pattern of names that can't be meant."""

    code = "invalid_pattern"


class InstanceNotFound(DurableError, LookupError):
    """No instance has that id in this task hub."""

    code = "instance_not_found"

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        super().__init__(f"No orchestration instance has the id {instance_id!r}. Check the id and the task hub.")


class InstanceIsEntity(InstanceNotFound):
    """The id is that of an entity, which can't be controlled as an orchestration is."""

    code = "instance_is_entity"

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        LookupError.__init__(
            self,
            f"{instance_id!r} is the id of an entity, and no orchestration. Use signal_entity, read_entity_state or "
            "clean_entity_storage.",
        )


class InstanceAlreadyExists(DurableError):
    """A live instance has that id already."""

    code = "instance_already_exists"

    def __init__(self, instance_id: str, status: str) -> None:
        self.instance_id = instance_id
        self.status = status
        super().__init__(
            f"An Orchestration instance with the status {status} already exists under the id {instance_id!r}. "
            "Wait until it ends, terminate it, or start under another id."
        )


class StepRefused(DurableError, ValueError):
    """An instance can't be run again from that step. The message says why, and which step to take instead."""

    code = "step_refused"


class InvalidTransition(DurableError):
    """The instance's status does not allow that operation."""

    code = "invalid_transition"

    def __init__(self, instance_id: str, status: str, operation: str, allowed: str) -> None:
        self.instance_id = instance_id
        self.status = status
        self.operation = operation
        super().__init__(
            f"Instance {instance_id!r} is {status}, so {operation} is not possible. It is possible while {allowed}."
        )


class InstanceEnded(InvalidTransition):
    """The instance has ended for good, so nothing can be sent to it any more (HTTP 410)."""

    code = "instance_ended"


class PayloadRejected(DurableError, ValueError, TypeError):
    """A value can't be stored as JSON, or doesn't fit the declared type.

    It is a TypeError too, as code written for other SDKs expects of a value of a type that has no JSON.
    ``path`` names the offending place (``$.items[3].name``); ``subject`` names the function and parameter.
    """

    code = "payload_rejected"

    def __init__(self, message: str, *, subject: str = "", path: str = "$") -> None:
        self.subject = subject
        self.path = path
        super().__init__(message)


class PayloadNotKept(DurableError):
    """A large payload could not be written to the file storage, so what refers to it was not written either."""

    code = "payload_not_kept"


class PayloadUnavailable(DurableError):
    """A large payload's file is missing, damaged or can't be reached. The instance can be terminated and purged."""

    code = "payload_unavailable"


class PayloadReplaced(PayloadUnavailable):
    """What referred to the file was purged or replaced meanwhile: nothing is lost, and it may be read again."""


class InvalidCompletionToken(DurableError, ValueError):
    """A completion token was altered, belongs to another site or task hub, or is none."""

    code = "invalid_completion_token"

    def __init__(self) -> None:
        super().__init__(
            "The completion token is not one that this site gave out for this task hub. "
            "Pass the activity's completion_token as it is."
        )


class ActivityEnded(DurableError):
    """Nobody waits for that attempt of an activity any more: it has ended, or its execution has (HTTP 410)."""

    code = "activity_ended"


class TaskNotOpen(DurableError):
    """The instance has no open task of that id and kind."""

    code = "task_not_open"

    def __init__(self, instance_id: str, task_id: int, wanted: str, remedy: str) -> None:
        self.instance_id = instance_id
        self.task_id = task_id
        super().__init__(f"Instance {instance_id!r} has no {wanted} under the task id {task_id}. {remedy}")


class InvalidCursor(DurableError, ValueError):
    """A page's cursor was altered, or comes from another list."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("The page cursor is not one that this list gave out. Go back to the first page.")


class WaitTimeout(DurableError, TimeoutError):
    """A client's wait ended before the instance did; the instance goes on."""

    code = "wait_timeout"


class PermissionRefused(DurableError):
    """The acting person lacks the permission for that operation."""

    code = "permission_refused"


class HttpRequestFailed(DurableError):
    """A request of ``call_http`` got no answer that can be used. The message holds no header, query or content."""

    code = "http_request_failed"


class HttpRequestRefused(HttpRequestFailed):
    """A request of ``call_http`` may not be sent, or its answer not be taken; trying again would change nothing."""

    code = "http_request_refused"
    is_non_retriable = True


class DeadLetterSettled(DurableError):
    """A dead letter can't be put back: it was already, or its instance has gone on, or its input was not kept."""

    code = "dead_letter_settled"


class WebhookNotFound(DurableError, LookupError):
    """No webhook, or no message of it, has that number among those of this task hub."""

    code = "webhook_not_found"

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"No {what} of this task hub has the number {number}. Look it up in the list.")


class WebhookExists(DurableError):
    """Another webhook has that name, or that end of the address."""

    code = "webhook_already_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a webhook that is called {name!r:.120}, or has its address. Change that one.")


class WebhookRejected(DurableError, ValueError):
    """A webhook can't be as it was described; ``errors`` has messages by field."""

    code = "webhook_rejected"

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        self.errors = {field: list(messages) for field, messages in errors.items()}
        told = "; ".join(f"{field}: {' '.join(messages)}" for field, messages in self.errors.items())
        super().__init__(f"The webhook would make no sense. {told}")


class SecretUnreadable(DurableError):
    """A webhook's secret can't be decrypted: SECRET_KEY has changed since it was kept."""

    code = "secret_unreadable"

    def __init__(self) -> None:
        super().__init__(
            "The webhook's secret can't be read with this SECRET_KEY. Name the former key in SECRET_KEY_FALLBACKS, or "
            "give the webhook a new secret."
        )


class HumanTaskNotFound(DurableError, LookupError):
    """No question to people has that number, or the person may not know of it."""

    code = "human_task_not_found"

    def __init__(self, task_id: int) -> None:
        super().__init__(f"No question has the number {task_id}, or it is put to other people.")


class HumanTaskClosed(DurableError):
    """The question can't be answered any more: somebody was quicker, its time is over, or it was withdrawn (HTTP 409).

    ``by``, ``outcome``, ``comment`` and ``at`` tell what decided it, where anything did.
    """

    code = "human_task_closed"

    def __init__(
        self, message: str, *, state: str = "", by: str = "", outcome: str = "", comment: str = "", at: object = None
    ) -> None:
        self.state, self.by, self.outcome, self.comment, self.at = state, by, outcome, comment, at
        super().__init__(message)


class AlreadyVoted(HumanTaskClosed):
    """The person has answered the question before; each has one vote (HTTP 409)."""

    code = "already_voted"


class AnswerRejected(DurableError, ValueError):
    """The form of a question does not let the answer through (HTTP 422).

    ``errors`` has messages by JSON path (``$.limit``, or ``$`` for the whole); ``form`` is the bound Django form.
    """

    code = "answer_rejected"

    def __init__(self, errors: Mapping[str, Sequence[str]], form: object = None) -> None:
        self.errors = {path: list(messages) for path, messages in errors.items()}
        self.form = form
        told = "; ".join(f"{path}: {' '.join(messages)}" for path, messages in self.errors.items())
        super().__init__(f"The answer is not as the form wants it. {told}")
