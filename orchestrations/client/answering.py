"""Answering questions to people: one vote a person, counted under the task's lock, delivered once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django import forms

from orchestrations.access.permissions import Action, audience_of, can, may_see_task, require, why_not
from orchestrations.authoring import payloads
from orchestrations.authoring.forms import binding
from orchestrations.authoring.forms.shapes import FormDescription
from orchestrations.client.arguments import check_reason
from orchestrations.client.async_twins import async_twin
from orchestrations.client.hub import HubClient
from orchestrations.client.sent_files import SentFiles, sent_files
from orchestrations.core.human import REJECT, Quorum
from orchestrations.errors import (
    AlreadyVoted,
    AnswerRejected,
    DurableError,
    HumanTaskClosed,
    HumanTaskNotFound,
    PermissionRefused,
)
from orchestrations.models import HumanComment, HumanTask, HumanVote, Instance
from orchestrations.models.audit import Deed
from orchestrations.store import answer_files
from orchestrations.store.task_answers import answer_message, is_plain

if TYPE_CHECKING:
    from django.contrib.auth.models import User

State = HumanTask.State
PAST = {"approve": "approved", "reject": "rejected"}


class Answering(HubClient):
    """Takes answers in the name of the client's ``actor``: a signed-in user, or where it says so a program's name."""

    def answer_task(self, task_id: int, answer: object, comment: str = "") -> HumanTask:
        """Give the actor's vote on a question, and deliver the answer once enough have voted. Returns the task.

        ``answer`` is the JSON value that the form wants, or the bound form itself. Name and time are the site's. A
        rejection that meets its quorum wins over approvals that meet theirs. Where the task has an undo time, what was
        decided is delivered after it.

        Raises HumanTaskNotFound, HumanTaskClosed naming who was quicker, AlreadyVoted, PermissionRefused for somebody
        who is not asked, and AnswerRejected with the form's errors. Then nothing was stored.
        """
        task = self._task(task_id)
        self._check_open(task)
        self._require_asked(task)
        text = check_reason(comment)
        with self._checked(task, answer) as (payload, files), self._writing():
            locked = self._locked(task_id)
            self._check_open(locked)
            self._require_asked(locked)
            vote = self._vote(locked, payload, files, text)
            self._audit(Deed.VOTED, [self._instance_id(locked)], text, _told(locked, vote))
            if locked.rejections >= locked.quorum_reject or locked.approvals >= locked.quorum_approve:
                self._decide(locked, vote)
            else:
                change(locked, state=State.ESCALATED if locked.escalated_at else State.PARTLY_ANSWERED)
        return locked

    def answer_tasks(
        self, task_ids: Iterable[int], answer: object, comment: str = ""
    ) -> dict[int, DurableError | None]:
        """Answer several questions alike, each by itself; returns by task what went wrong, or None.

        Raises ValueError unless all have the same form in the same version, and it allows that.
        """
        wanted = list(dict.fromkeys(task_ids))
        found = HumanTask.objects.using(self.using).filter(hub=self.hub, pk__in=wanted)
        forms_of = {(task.form, task.form_version, bool(_form_of(task).bulk)) for task in found}
        if len(forms_of) > 1 or not all(is_bulk for *_, is_bulk in forms_of):
            raise ValueError("These questions can't be answered together: their forms differ, or don't allow it.")
        outcomes: dict[int, DurableError | None] = {}
        for task_id in wanted:
            try:
                self.answer_task(task_id, answer, comment)
                outcomes[task_id] = None
            except DurableError as refused:
                outcomes[task_id] = refused
        return outcomes

    def override_task(self, task_id: int, answer: object, reason: str) -> HumanTask:
        """Decide a question alone, whoever is asked and however many it takes, with a reason that the audit keeps.

        Needs the permission ``override_task``; not even that lets somebody in who was left out. Raises as
        ``answer_task`` does, and ValueError without a reason.
        """
        if not reason.strip():
            raise ValueError("Say why it is decided over the heads of those who were asked.")
        task = self._task(task_id)
        self._check_live(task)
        self._require_override(task)
        with self._checked(task, answer) as (payload, files), self._writing():
            locked = self._locked(task_id)
            self._check_live(locked)
            self._require_override(locked)
            earlier = HumanVote.objects.using(self.using).filter(
                task_id=locked.pk, username=self._person.get_username()
            )
            for vote in earlier:
                _count(locked, vote, -1)
            answer_files.take_back(earlier, self.using)
            vote = self._vote(locked, payload, files, check_reason(reason))
            self._say(locked, HumanComment.Kind.OVERRIDDEN, reason)
            self._audit(Deed.OVERRIDDEN, [self._instance_id(locked)], reason, _told(locked, vote))
            self._decide(locked, vote)
        return locked

    def decide_task(self, task_id: int, answer: object, comment: str = "") -> HumanTask:
        """Decide a question in the name of a program: the client's actor, a name and no user. Returns the task.

        The form checks the answer, which is delivered at once, however many votes it takes and whatever the undo time.
        Whether the program may is for the caller to know. Raises HumanTaskNotFound, HumanTaskClosed and AnswerRejected.
        """
        if self.actor is None or self.actor.user is not None:
            raise PermissionRefused("A person answers by answer_task. Make the client with actor=name of the program.")
        task = self._known(task_id)
        self._check_open(task)
        text = check_reason(comment)
        with self._checked(task, answer) as (payload, files), self._writing():
            locked = self._locked(task_id)
            self._check_open(locked)
            vote = self._vote(locked, payload, files, text)
            self._audit(Deed.VOTED, [self._instance_id(locked)], text, _told(locked, vote))
            self._decide(locked, vote, at_once=True)
        return locked

    def undo_answer(self, task_id: int) -> HumanTask:
        """Take back the actor's decision while its undo time lasts; the question is open again.

        Raises HumanTaskClosed once the answer is on its way, PermissionRefused for somebody else's decision.
        """
        with self._writing():
            task = self._locked(task_id)
            if task.state != State.ANSWERED or task.deliver_at is None or task.deliver_at <= self._store.now():
                raise HumanTaskClosed("The decision can't be taken back any more.", state=task.state)
            if task.answered_by != self._person.get_username():
                raise PermissionRefused(f"The decision is {task.answered_by}'s to take back.")
            mine = HumanVote.objects.using(self.using).filter(task_id=task.pk, username=task.answered_by)
            _count(task, mine.get(), -1)
            answer_files.take_back(mine, self.using)
            state = State.ESCALATED if task.escalated_at else State.OPEN
            if task.approvals + task.rejections and state == State.OPEN:
                state = State.PARTLY_ANSWERED
            change(
                task, state=state, answered_by="", outcome="", closed_at=None, deliver_at=None,
                next_notice_at=task.asked_at,
            )  # fmt: skip
            self._audit(Deed.UNDONE, [self._instance_id(task)], details={"event": task.name, "title": task.title})
        return task

    aanswer_task = async_twin(answer_task)
    aanswer_tasks = async_twin(answer_tasks)
    aoverride_task = async_twin(override_task)
    adecide_task = async_twin(decide_task)
    aundo_answer = async_twin(undo_answer)

    # Inside --------------------------------------------------------------------------------------------------------

    @property
    def _person(self) -> User:
        if self.actor is None or self.actor.user is None:
            raise PermissionRefused("Only a person answers. Make the client with actor=user.")
        return cast("User", self.actor.user)

    @property
    def _voter(self) -> str:
        """The name under which the actor's vote is kept."""
        assert self.actor is not None
        return self.actor.user.get_username() if self.actor.user else self.actor.name

    def _task(self, task_id: int) -> HumanTask:
        """The task as it stands. Raises HumanTaskNotFound, also for who may not know of it."""
        found = self._known(task_id)
        if not may_see_task(self._person, found):
            raise HumanTaskNotFound(task_id)
        return found

    def _known(self, task_id: int) -> HumanTask:
        found = HumanTask.objects.using(self.using).filter(hub=self.hub, pk=task_id).first()
        if found is None:
            raise HumanTaskNotFound(task_id)
        return found

    def _locked(self, task_id: int) -> HumanTask:
        """The task, which nobody else changes until the transaction ends; no lock on its instance is taken."""
        rows = HumanTask.objects.using(self.using).filter(hub=self.hub, pk=task_id)
        locked = rows.select_for_update().first()
        if locked is None:
            raise HumanTaskNotFound(task_id)
        return locked

    def _instance_id(self, task: HumanTask) -> str:
        return Instance.objects.using(self.using).values_list("instance_id", flat=True).get(pk=task.instance_id)

    def _check_open(self, task: HumanTask) -> None:
        self._check_live(task)
        self._check_not_voted(task)

    def _check_live(self, task: HumanTask) -> None:
        if not task.is_live or (task.due_at is not None and task.due_at <= self._store.now()):
            raise closed(task, self.using, self._voter)

    def _check_not_voted(self, task: HumanTask) -> None:
        vote = HumanVote.objects.using(self.using).filter(task_id=task.pk, username=self._voter).first()
        if vote is not None:
            raise AlreadyVoted(
                f"You {PAST[vote.counts_as]} this before. Each person has one vote.",
                state=task.state,
                by=vote.username,
                outcome=vote.outcome,
                comment=vote.comment,
                at=vote.at,
            )

    def _require_asked(self, task: HumanTask) -> None:
        if reason := why_not(self._person, task):
            raise PermissionRefused(reason)

    def _require_override(self, task: HumanTask, otherwise: str = "") -> None:
        if otherwise and not can(self._person, Action.OVERRIDE_TASK):
            raise PermissionRefused(otherwise)
        require(self._person, Action.OVERRIDE_TASK)
        if audience_of(task).excludes(self._person):
            raise PermissionRefused(why_not(self._person, task))

    @contextmanager
    def _checked(self, task: HumanTask, answer: object) -> Iterator[tuple[Any, SentFiles]]:
        """The answer as the form lets it through, and its files, which go if it is refused within.

        Raises AnswerRejected.
        """
        stored = _form_of(task)
        form = answer if isinstance(answer, forms.Form) else binding.bind_payload(stored, answer)
        if not binding.check_form(form):
            raise AnswerRejected(errors_of(form, stored), form)
        with sent_files(self.hub) as files:
            yield binding.cleaned_payload(form, files.keep), files

    def _vote(self, task: HumanTask, payload: Any, files: SentFiles, comment: str) -> HumanVote:
        """Store the vote with its files, and count it."""
        if is_plain(task):
            comment = comment or str(payload.get("comment") or "")
        outcome = binding.outcome_of(_form_of(task), payload)
        assert self.actor is not None
        vote = HumanVote(
            task_id=task.pk,
            instance_id=task.instance_id,
            user_id=self.actor.user.pk if self.actor.user else None,
            username=self._voter,
            outcome=outcome[:100],
            counts_as=_quorum(task).counts_as(outcome),
            data=payloads.encode(payload, "the answer") or "null",
            comment=comment,
            at=self._store.now(),
            via=self.actor.via,
        )
        vote.save(using=self.using)
        answer_files.record(self.hub, vote, files.names, self.using)
        _count(task, vote, 1)
        return vote

    def _decide(self, task: HumanTask, vote: HumanVote, *, at_once: bool = False) -> None:
        """Close the task, and deliver the answer: at once, or once it can't be taken back any more."""
        now = vote.at
        undone_by = now + timedelta(seconds=task.undo_seconds)
        waits = not at_once and task.undo_seconds > 0 and (task.due_at is None or undone_by < task.due_at)
        change(
            task,
            state=State.ANSWERED,
            answered_by=vote.username,
            outcome=vote.outcome or vote.counts_as,
            closed_at=now,
            deliver_at=undone_by if waits else None,
            next_notice_at=undone_by if waits else None,
        )
        if not waits and not self._store.send([answer_message(task, vote, self.using)]):
            raise HumanTaskClosed("The instance that asked has ended.", state=State.WITHDRAWN)

    def _say(self, task: HumanTask, kind: HumanComment.Kind, text: str, to: str = "") -> HumanComment:
        comment = HumanComment(
            task_id=task.pk,
            instance_id=task.instance_id,
            user_id=self._person.pk,
            username=self._person.get_username(),
            kind=kind,
            text=text,
            to=to,
        )
        comment.save(using=self.using)
        return comment


def closed(task: HumanTask, using: str, reader: str = "") -> HumanTaskClosed:
    """The error that says why a task can't be answered any more: who decided what, when and why."""
    told: dict[str, Any] = {"state": task.state, "by": task.answered_by, "outcome": task.outcome, "at": task.closed_at}
    if task.state == State.WITHDRAWN:
        return HumanTaskClosed("The question was withdrawn: the instance does not wait for it any more.", **told)
    if task.state != State.ANSWERED:
        told["state"] = State.EXPIRED
        told["at"] = task.due_at
        return HumanTaskClosed("The time to answer was over before your answer came.", **told)
    vote = HumanVote.objects.using(using).filter(task_id=task.pk, username=task.answered_by).first()
    comment = vote.comment if vote is not None else ""
    deed = PAST.get(vote.counts_as if vote is not None else "", "answered")
    who = task.answered_by or "A program"
    said = f": {comment}" if comment else "."
    if task.answered_by == reader:
        return AlreadyVoted(f"You {deed} this before{said}", comment=comment, **told)
    return HumanTaskClosed(f"{who} {deed} this before you{said}", comment=comment, **told)


def errors_of(form: forms.Form, stored: FormDescription) -> dict[str, list[str]]:
    """The form's messages by JSON path."""
    return {
        "$" if name == "__all__" or stored.is_wrapped else f"$.{name}": [str(message) for message in messages]
        for name, messages in form.errors.items()
    }


def _form_of(task: HumanTask) -> FormDescription:
    return FormDescription.of(json.loads(task.schema))


def _quorum(task: HumanTask) -> Quorum:
    rejecting = json.loads(task.assignment).get("rejecting")
    return Quorum(rejecting=rejecting) if rejecting else Quorum()


def _count(task: HumanTask, vote: HumanVote, step: int) -> None:
    if vote.counts_as == REJECT:
        task.rejections += step
    else:
        task.approvals += step


def change(task: HumanTask, **changes: Any) -> None:
    """Save these columns and the counts, with the row's next version."""
    for name, value in changes.items():
        setattr(task, name, value)
    task.row_version += 1
    task.save(update_fields=[*changes, "row_version", "approvals", "rejections"])


def _told(task: HumanTask, vote: HumanVote) -> Mapping[str, Any]:
    return {"event": task.name, "title": task.title, "outcome": vote.outcome or vote.counts_as}
