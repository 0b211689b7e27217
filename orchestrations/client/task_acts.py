"""What people do with questions beside answering them: look, talk, take, pass on, give back, put off."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrations.access.permissions import Action, audience_of, can, why_not
from orchestrations.client.answering import Answering, change
from orchestrations.client.arguments import check_instant, check_reason
from orchestrations.client.async_twins import async_twin
from orchestrations.errors import AlreadyVoted, PermissionRefused
from orchestrations.models import HumanComment, HumanFollowUp, HumanNotice, HumanTask, HumanVote
from orchestrations.models.audit import Deed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

Kind = HumanComment.Kind


class TaskActs(Answering):
    """Acts of the client's ``actor`` on questions. All raise HumanTaskNotFound where the person may not know of it."""

    def see_task(self, task_id: int) -> HumanTask:
        """Return the question as it stands, and note it where nobody who is asked has seen it before."""
        task = self._task(task_id)
        if task.seen_at is None and task.is_live and not why_not(self._person, task):
            with self._writing():
                unseen = HumanTask.objects.using(self.using).filter(pk=task.pk, seen_at__isnull=True)
                if unseen.update(seen_at=self._store.now()):
                    self._note(Deed.SEEN, task)
        return task

    def comment_task(self, task_id: int, text: str) -> HumanComment:
        """Say something about a question, open or not, without answering it. Raises ValueError for nothing said."""
        said = check_reason(text).strip()
        if not said:
            raise ValueError("The comment is empty. Write what you want to say.")
        task = self._task(task_id)
        with self._writing():
            comment = self._say(task, Kind.COMMENT, said)
            HumanTask.objects.using(self.using).filter(pk=task.pk).update(row_version=task.row_version + 1)
            self._note(Deed.COMMENTED, task)
        return comment

    def claim_task(self, task_id: int) -> HumanTask:
        """Take a question for oneself, so that the others of the group know. Raises as ``answer_task`` does."""
        with self._writing():
            task = self._open(task_id)
            self._check_not_voted(task)
            self._require_asked(task)
            if task.assignee_id is not None and task.assignee_id != self._person.pk:
                raise PermissionRefused("It is assigned to somebody. Once it is released, you can take it.")
            change(task, assignee_id=self._person.pk)
            self._say(task, Kind.CLAIMED, "")
            self._note(Deed.CLAIMED, task)
        return task

    def release_task(self, task_id: int, reason: str = "") -> HumanTask:
        """Give a question back to all who were asked at first. Its assignee may, and who may override."""
        with self._writing():
            task = self._open(task_id)
            if task.assignee_id != self._person.pk and not can(self._person, Action.OVERRIDE_TASK):
                raise PermissionRefused("It is assigned to somebody else, who can release it.")
            change(task, assignee_id=None, link_version=task.link_version + 1)
            self._say(task, Kind.RELEASED, check_reason(reason))
            self._note(Deed.RELEASED, task, reason)
        return task

    def delegate_task(self, task_id: int, to: User, reason: str) -> HumanTask:
        """Let another person answer instead, with a reason that the audit keeps; the deadline stays.

        Whoever may answer may delegate, and who may override. Raises ValueError without a reason, PermissionRefused
        for a person who was left out or can't sign in, AlreadyVoted for one who has voted.
        """
        if not check_reason(reason).strip():
            raise ValueError("Say why somebody else should answer.")
        with self._writing():
            task = self._open(task_id)
            if refused := why_not(self._person, task):
                self._require_override(task, refused)
            self._check_delegate(task, to)
            change(task, assignee_id=to.pk, link_version=task.link_version + 1)
            comment = self._say(task, Kind.DELEGATED, reason, to.get_username())
            self._tell(task, to, comment)
            self._audit(
                Deed.DELEGATED, [self._instance_id(task)], reason, {"title": task.title, "to": to.get_username()}
            )
        return task

    def follow_up_task(self, task_id: int, until: datetime | None) -> None:
        """Hide a question from the actor's own inbox until that aware moment; None shows it again.

        Raises HumanTaskClosed for hiding one that is closed, or whose time is over.
        """
        task = self._task(task_id)
        mine = HumanFollowUp.objects.using(self.using)
        if until is None:
            mine.filter(task_id=task.pk, user_id=self._person.pk).delete()
            return
        defaults = {"until": check_instant(until, "until"), "instance_id": task.instance_id}
        self._check_live(task)
        mine.update_or_create(task_id=task.pk, user_id=self._person.pk, defaults=defaults)

    asee_task = async_twin(see_task)
    acomment_task = async_twin(comment_task)
    aclaim_task = async_twin(claim_task)
    arelease_task = async_twin(release_task)
    adelegate_task = async_twin(delegate_task)
    afollow_up_task = async_twin(follow_up_task)

    def _open(self, task_id: int) -> HumanTask:
        self._task(task_id)
        task = self._locked(task_id)
        self._check_live(task)
        return task

    def _check_delegate(self, task: HumanTask, to: User) -> None:
        if not to.is_active:
            raise PermissionRefused(f"{to.get_username()} can't sign in.")
        if audience_of(task).excludes(to):
            raise PermissionRefused(f"{to.get_username()} was left out of this question, and stays so.")
        if HumanVote.objects.using(self.using).filter(task_id=task.pk, username=to.get_username()).exists():
            raise AlreadyVoted(f"{to.get_username()} has voted on this already.", by=to.get_username())

    def _tell(self, task: HumanTask, to: User, comment: HumanComment) -> None:
        """Have the delegate told by the channels that the question names."""
        now = self._store.now()
        HumanNotice.objects.using(self.using).bulk_create(
            HumanNotice(
                hub=self.hub,
                task_id=task.pk,
                instance_id=task.instance_id,
                kind=HumanNotice.Kind.DELEGATED,
                number=comment.pk,
                channel=channel,
                recipient_id=to.pk,
                send_at=now,
            )
            for channel in json.loads(task.notify)
            if channel != "inbox"
        )

    def _note(self, deed: Deed, task: HumanTask, reason: str = "") -> None:
        self._audit(deed, [self._instance_id(task)], reason, {"event": task.name, "title": task.title})
