"""The pages that are looked at and checked, by a name for each."""

from __future__ import annotations

from orchestrations.models import BulkJob, HumanTask, SavedView

PAGES = {
    "overview": "/hubs/default/",
    "overview-month": "/hubs/default/?window=30d",
    "workers": "/hubs/default/workers/",
    "flows": "/hubs/default/flows/",
    "flow": "/hubs/default/flows/of/order_flow/",
    "flow-calls": "/hubs/default/flows/of/settle_batch/",
    "retention": "/hubs/default/retention/",
    "hubs": "/hubs/",
    "audit-trail": "/hubs/default/audit/",
    "audit-nothing": "/hubs/default/audit/?who=nobody",
    "list": "/hubs/default/instances/",
    "list-waiting": "/hubs/default/instances/?status=waiting",
    "list-filtered": "/hubs/default/instances/?q=name:o*+id:o*+created:-7d+created%3C2099-01-01T00:00Z",
    "list-nothing": "/hubs/default/instances/?id=nothing-like-it",
    "list-problem": "/hubs/default/instances/?q=name:Foo+AND",
    "preferences": "/prefs/",
    "export": "/hubs/default/instances/export/?q=status:failed",
    "views": "/hubs/default/views/",
    "view": "/hubs/default/views/new/?q=status:failed+created:-24h",
    "waiting": "/hubs/default/i/ord-7F3A-0001/",
    "retrying": "/hubs/default/i/ord-7F3A-0002/",
    "pending": "/hubs/default/i/ord-7F3A-0003/",
    "fan-out": "/hubs/default/i/batch-2026-01-20/",
    "failed": "/hubs/default/i/clm-1B09/",
    "suspended": "/hubs/default/i/ob-552/",
    "completed": "/hubs/default/i/ref-88/",
    "running": "/hubs/default/i/mon-31/",
    "long": "/hubs/default/i/etl-2026-01-05/",
    "long-earlier": "/hubs/default/i/etl-2026-01-05/?until=900",
    "long-history": "/hubs/default/i/etl-2026-01-05/history/?seq=1200",
    "history": "/hubs/default/i/clm-1B09/history/",
    "history-compact": "/hubs/default/i/ord-7F3A-0002/history/?view=compact",
    "history-json": "/hubs/default/i/clm-1B09/history/?view=json",
    "history-nothing": "/hubs/default/i/clm-1B09/history/?q=nothing-like-it",
    "tree": "/hubs/default/i/batch-2026-01-20/tree/",
    "tree-of-child": "/hubs/default/i/batch-2026-01-20:3/tree/",
    "related": "/hubs/default/i/mon-31/related/",
    "io": "/hubs/default/i/mon-31/io/",
    "stack": "/hubs/default/i/clm-1B09/stack/",
    "stack-waiting": "/hubs/default/i/ord-7F3A-0001/stack/",
    "stack-completed": "/hubs/default/i/ref-88/stack/",
    "diagram": "/hubs/default/i/batch-2026-01-20/diagram/",
    "audit": "/hubs/default/i/clm-1B09/audit/",
    "raw": "/hubs/default/i/batch-2026-01-20/raw/",
    "event": "/hubs/default/i/clm-1B09/e/1/5/",
    "purged": "/hubs/default/i/old-order/",
    "terminate": "/hubs/default/i/batch-2026-01-20/do/terminate/",
    "purge": "/hubs/default/i/ref-88/do/purge/",
    "raise": "/hubs/default/i/batch-2026-01-20/do/raise/",
    "conflict": "/hubs/default/i/ref-88/do/suspend/",
    "approvals": "/approvals/",
    "not-found": "/hubs/default/i/unknown/",
    "entities": "/hubs/default/entities/",
    "entities-nothing": "/hubs/default/entities/?name=nothing",
    "entities-clean": "/hubs/default/entities-clean/",
    "entity": "/hubs/default/entities/account/A-7/",
    "entity-signal": "/hubs/default/signals/account/A-7/",
    "start": "/hubs/default/start/",
    "start-typed": "/hubs/default/start/?name=fulfil_order",
    "start-like": "/hubs/default/start/?like=ref-88",
    "bulk": "/hubs/default/bulk/",
    "bulk-new": "/hubs/default/bulk/new/?action=terminate&q=status:running&all=1",
    "bulk-purge": "/hubs/default/bulk/new/?action=purge&q=&all=1",
    "suspend": "/hubs/default/i/batch-2026-01-20/do/suspend/",
    "tags": "/hubs/default/i/ord-7F3A-0002/do/tags/",
    "complete-task": "/hubs/default/i/mon-31/do/complete-task/?task=9",
    "approvals-asked": "/approvals/?tab=asked",
    "approvals-done": "/approvals/?tab=done",
}


def addresses() -> dict[str, str]:
    """All of them: also those whose address has a key, which the rows of ``scenes.more`` were given."""
    jobs = {f"bulk-{job.state.lower()}": f"/hubs/default/bulk/{job.pk}/" for job in BulkJob.objects.all()}
    tasks = {f"question-{task.name}": f"/approvals/{task.pk}/" for task in HumanTask.objects.all()}
    two_votes = HumanTask.objects.get(name="refund")
    view = SavedView.objects.get(name="Failed today")
    return {
        **PAGES,
        **jobs,
        **tasks,
        "question-override": f"/approvals/{two_votes.pk}/override/",
        "question-delegate": f"/approvals/{two_votes.pk}/do/delegate/",
        "question-act-refused": f"/approvals/{HumanTask.objects.get(name='limit').pk}/do/delegate/",
        "view-change": f"/hubs/default/views/{view.pk}/",
        "view-delete": f"/hubs/default/views/{view.pk}/delete/",
    }
