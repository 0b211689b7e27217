"""Files that come with answers: there as long as the answer counts, and gone with it or with its instance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from django.forms import Form
from django.utils.datastructures import MultiValueDict

from orchestrations import AnswerFile, OrchestrationClient, Quorum, Reviewers, activity, orchestrator, payload_files
from orchestrations.authoring.forms.binding import bind_form
from orchestrations.authoring.forms.shapes import FormDescription
from orchestrations.client import answering
from orchestrations.errors import HumanTaskClosed
from orchestrations.models import HumanTask, HumanVote, LargePayload
from orchestrations.reading.integrity import CHECKS, TaskHub
from orchestrations.store import get_store


@dataclass
class Report:
    """A verdict with a scan."""

    decision: Literal["approve", "reject"]
    scan: AnswerFile


class Killed(BaseException):
    """The process ends here: nothing that would be done afterwards is done."""


@pytest.fixture(autouse=True)
def files(settings, tmp_path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def by(client):
    """A client in the name of a person who is asked; the boss may override."""
    people = {name: User.objects.create_user(name) for name in ("dana", "max", "boss")}
    people["boss"].user_permissions.add(Permission.objects.get(codename="override_task"))
    found = {name: User.objects.get(pk=user.pk) for name, user in people.items()}
    return lambda name: OrchestrationClient(actor=found[name], via="Dashboard")


@pytest.fixture
def ask(client, worker):
    """Has an instance ask for a report, and returns the task."""

    @activity
    def read(scan: AnswerFile) -> str:
        with scan.open() as file:
            return file.read().decode()

    def ask(instance_id: str = "order", **options) -> HumanTask:
        given = {"form": Report, "assign": Reviewers(users=["dana", "max", "boss"]), **options}

        @orchestrator(name=f"asks {instance_id}")
        def asks(context):
            answer = yield context.wait_for_external_event("approval", **given)
            told = yield context.call_activity(read, answer.data.scan)
            if (yield context.wait_for_external_event("go")) == "on":
                context.continue_as_new("on and on" * 100_000)
            return told

        client.start_new(f"asks {instance_id}", instance_id)
        worker.run_until_idle()
        return HumanTask.objects.get(instance__instance_id=instance_id)

    return ask


def report(task: HumanTask, content: str) -> Form:
    """The form as a browser sends it."""
    upload = SimpleUploadedFile("the scan.txt", content.encode(), "text/plain")
    stored = FormDescription.of(json.loads(task.schema))
    return bind_form(stored, {"decision": "approve"}, MultiValueDict({"scan": [upload]}))


def kept(files: Path) -> list[str]:
    """What lies in the storage, by content."""
    return sorted(path.read_text() for path in files.rglob("*scan.txt"))


def recorded() -> int:
    return LargePayload.objects.exclude(vote=None).count()


def test_an_activity_reads_the_file_and_a_purge_deletes_it(ask, by, client, worker, files):
    for name in ("order", "other"):
        task = ask(name)
        by("dana").answer_task(task.pk, report(task, f"of {name}"))
        worker.run_until_idle()
    client.raise_event("order", "go")
    assert worker.run_until_ended("order").output == "of order"
    assert kept(files) == ["of order", "of other"]
    assert recorded() == 2
    assert [finding for check in CHECKS.values() for finding in check(TaskHub())] == []

    client.purge_instance_history("order")

    assert kept(files) == ["of other"]
    assert recorded() == 1


@pytest.mark.parametrize("key", ["salaries.csv", "durable/answers/../../salaries.csv", "/etc/hostname", ""])
def test_a_key_that_somebody_made_up_opens_nothing(client, worker, files, key):
    """A program that starts an instance, or raises an event, sends whatever JSON it likes."""
    (files / "durable/answers").mkdir(parents=True)
    (files / "salaries.csv").write_text("ann,7")

    @activity
    def read(scan: AnswerFile) -> str:
        with scan.open() as file:
            return file.read().decode()

    @orchestrator
    def reads(context, scan: AnswerFile):
        return (yield context.call_activity(read, scan))

    client.start_new(reads, "order", {"name": "scan.txt", "size": 1, "content_type": "text/plain", "key": key})

    assert "is no file that came with" in worker.run_until_ended("order").failure_details.message


def test_it_outlives_the_generation_in_which_it_was_asked_for(ask, by, client, worker, files):
    task = ask()
    by("dana").answer_task(task.pk, report(task, "seen"))
    worker.run_until_idle()
    client.raise_event("order", "go", "on")
    worker.run_until_idle()
    assert HumanTask.objects.filter(state="open").count() == 1
    assert kept(files) == ["seen"]

    client.terminate("order")
    worker.run_until_idle()
    client.purge_instance_history("order")

    assert [path for path in files.rglob("*") if path.is_file()] == []


def test_an_answer_that_comes_too_late_leaves_no_file(ask, by, files, monkeypatch):
    task = ask()
    keep = payload_files.write_upload

    def keep_while_max_is_quicker(*arguments) -> str:
        monkeypatch.setattr(payload_files, "write_upload", keep)
        by("max").answer_task(task.pk, report(task, "of max"))
        return keep(*arguments)

    monkeypatch.setattr(payload_files, "write_upload", keep_while_max_is_quicker)
    with pytest.raises(HumanTaskClosed, match="max approved this before you"):
        by("dana").answer_task(task.pk, report(task, "of dana"))

    assert kept(files) == ["of max"]
    assert recorded() == 1


@pytest.mark.parametrize("end", [Killed, DatabaseError])
def test_what_a_crash_leaves_is_swept_by_its_age_and_nothing_else_is(ask, by, files, monkeypatch, end):
    task = ask(quorum=Quorum(approve=2))
    by("dana").answer_task(task.pk, report(task, "of dana"))
    monkeypatch.setattr(answering, "_count", raising(end))
    with pytest.raises(end):
        by("max").answer_task(task.pk, report(task, "of max"))
    assert HumanVote.objects.get().username == "dana"
    assert kept(files) == ["of dana", "of max"]

    store = get_store()
    assert store.sweep_strays(timedelta(hours=1)) == 0
    assert store.sweep_strays(timedelta(seconds=-60)) == 1
    assert kept(files) == ["of dana"]
    assert recorded() == 1


def raising(error: type[BaseException]) -> Callable[..., None]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def test_the_upkeep_sweeps_a_folder_of_them_at_a_time(ask, by, files, monkeypatch):
    task = ask()
    monkeypatch.setattr(answering, "_count", raising(Killed))
    for number in range(3):
        with pytest.raises(Killed):
            by("dana").answer_task(task.pk, report(task, f"of try {number}"))

    store = get_store()
    swept = [store.sweep_strays(timedelta(seconds=-60), part) for part in range(payload_files.PARTS)]

    assert sum(swept) == 3
    assert kept(files) == []


def test_an_answer_that_is_taken_back_takes_its_file_along(ask, by, files):
    task = ask(undo=timedelta(minutes=1))
    by("dana").answer_task(task.pk, report(task, "too early"))
    assert kept(files) == ["too early"]

    by("dana").undo_answer(task.pk)
    assert (kept(files), recorded()) == ([], 0)

    by("dana").answer_task(task.pk, report(task, "now"))
    assert kept(files) == ["now"]


def test_who_decides_alone_after_a_vote_leaves_the_file_of_the_decision(ask, by, files):
    task = ask(quorum=Quorum(approve=3))
    by("max").answer_task(task.pk, report(task, "of max"))
    by("boss").answer_task(task.pk, report(task, "a vote"))

    by("boss").override_task(task.pk, report(task, "a decision"), "it is urgent")

    assert kept(files) == ["a decision", "of max"]
    assert recorded() == 2
