"""A bulk job in words: what it does, how far it has come, and what became of its instances."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrations.bulk.jobs import parameters_told
from orchestrations.bulk.selections import Selection
from orchestrations.core.status import RuntimeStatus
from orchestrations.interfaces.dashboard.links import view_url
from orchestrations.interfaces.dashboard.presentation.deeds import told
from orchestrations.interfaces.dashboard.presentation.statuses import BADGES, Badge
from orchestrations.interfaces.dashboard.presentation.verbs import VERBS
from orchestrations.limits import BULK_PROBLEMS
from orchestrations.models import BulkJob
from orchestrations.search.filters import query_of
from orchestrations.search.language import write

STATES = {
    BulkJob.State.PENDING: BADGES[RuntimeStatus.PENDING],
    BulkJob.State.RUNNING: BADGES[RuntimeStatus.RUNNING],
    BulkJob.State.COMPLETED: BADGES[RuntimeStatus.COMPLETED],
    BulkJob.State.STOPPED: Badge("terminated", "octagon", "Stopped"),
    BulkJob.State.FAILED: BADGES[RuntimeStatus.FAILED],
}
LABELS = {verb.action.value: verb.label for verb in VERBS.values()}


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A row of the list of jobs."""

    job: BulkJob
    badge: Badge
    label: str
    total: str


def show(job: BulkJob) -> ShownJob:
    """The job as a list shows it."""
    return ShownJob(job, STATES[BulkJob.State(job.state)], LABELS.get(job.action, job.action), _total(job))


def describe(job: BulkJob) -> dict[str, object]:
    """The job as its page shows it."""
    shown = show(job)
    return {
        "job": job,
        "badge": shown.badge,
        "label": shown.label,
        "total": shown.total,
        "summary": _summary(job, shown),
        "problems_kept": BULK_PROBLEMS,
        "has_more_problems": max(job.skipped, job.failed) > BULK_PROBLEMS,
        "chosen": _chosen(job),
        "parameters": told(parameters_told(job)),
    }


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a job acts on: a query of the list, or that many instances named one by one."""

    query: str = ""
    url: str = ""
    named: int = 0


def _chosen(job: BulkJob) -> Chosen:
    selection = Selection.from_json(job.selection)
    if selection.where is None:
        return Chosen(named=len(selection.ids))
    query = query_of(selection.where)
    text = write(query)
    return Chosen(text or "every instance", view_url(job.hub, text, ""))


def _summary(job: BulkJob, shown: ShownJob) -> str:
    """One sentence that says how it stands."""
    match job.state:
        case BulkJob.State.PENDING:
            return "A worker is about to begin."
        case BulkJob.State.RUNNING:
            had = "has had its turn" if job.handled == 1 else "have had their turn"
            return f"{job.handled:,} of {shown.total} instances {had}."
        case BulkJob.State.FAILED:
            return job.error
        case BulkJob.State.STOPPED:
            return f"Stopped by {job.stopped_by} after {job.handled:,} of {shown.total} instances."
    gone = f" {job.gone:,} no longer matched when their turn came." if job.gone else ""
    if job.handled == 1:
        return f"The one instance has had its turn.{gone}"
    return f"All {job.handled:,} instances have had their turn.{gone}"


def _total(job: BulkJob) -> str:
    if job.total is None:
        return "—"
    return f"{job.total:,}{'+' if job.total_is_capped else ''}"
