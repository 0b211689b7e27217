"""``manage.py durable task``: helps one task of an instance along: its next attempt, a timer, or a result by hand."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from orchestrations.authoring import payloads
from orchestrations.client import OrchestrationClient, SerializedJson
from orchestrations.errors import DurableError
from orchestrations.models import AuditEntry

HELP = "Makes a task's next attempt now, fires a timer now, or completes an activity by hand."


def add_arguments(parser: CommandParser) -> None:
    """The instance, its task, what to do, and why."""
    parser.add_argument("act", choices=["retry", "skip-timer", "complete"], help="What to do.")
    parser.add_argument("instance_id", help="The instance.")
    parser.add_argument("task_id", type=int, help="The task's number, as its status and its page have it.")
    parser.add_argument("--result", metavar="JSON", help="With complete: what the activity would have returned.")
    parser.add_argument("--reason", default="", help="For the audit trail; complete needs one.")


def run(options: dict[str, Any], stdout: OutputWrapper) -> None:
    """Do it, in the name of the command. Exits with 1 where the task is not open."""
    client = OrchestrationClient(via=AuditEntry.Via.COMMAND, actor="manage.py durable task")
    instance_id, task_id, reason = options["instance_id"], options["task_id"], options["reason"]
    if options["result"] is not None and options["act"] != "complete":
        raise CommandError("A result is given to what is completed. Leave --result out.")
    try:
        if options["act"] == "retry":
            client.retry_now(instance_id, task_id, reason)
        elif options["act"] == "skip-timer":
            client.skip_timer(instance_id, task_id, reason)
        else:
            _complete(client, options)
    except DurableError as error:
        raise CommandError(str(error)) from error
    stdout.write("It is on its way.")


def _complete(client: OrchestrationClient, options: dict[str, Any]) -> None:
    if not options["reason"].strip():
        raise CommandError("Say why it is completed by hand: --reason.")
    text = None if options["result"] is None else payloads.check_text(options["result"], "the result")
    result = None if text is None else SerializedJson(text)
    client.complete_task(options["instance_id"], options["task_id"], result, options["reason"])
