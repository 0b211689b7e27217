"""The pages that are looked at and checked, by a name for each."""

from __future__ import annotations

PAGES = {
    "overview": "/hubs/default/",
    "overview-month": "/hubs/default/?window=30d",
    "workers": "/hubs/default/workers/",
    "audit-trail": "/hubs/default/audit/",
    "audit-nothing": "/hubs/default/audit/?who=nobody",
    "list": "/hubs/default/instances/",
    "list-waiting": "/hubs/default/instances/?status=waiting",
    "list-nothing": "/hubs/default/instances/?id=nothing-like-it",
    "waiting": "/hubs/default/i/ord-7F3A-0001/",
    "retrying": "/hubs/default/i/ord-7F3A-0002/",
    "pending": "/hubs/default/i/ord-7F3A-0003/",
    "fan-out": "/hubs/default/i/batch-2026-01-20/",
    "failed": "/hubs/default/i/clm-1B09/",
    "suspended": "/hubs/default/i/ob-552/",
    "completed": "/hubs/default/i/ref-88/",
    "history": "/hubs/default/i/clm-1B09/history/",
    "children": "/hubs/default/i/batch-2026-01-20/children/",
    "payloads": "/hubs/default/i/ref-88/payloads/",
    "audit": "/hubs/default/i/clm-1B09/audit/",
    "event": "/hubs/default/i/clm-1B09/e/1/5/",
    "terminate": "/hubs/default/i/batch-2026-01-20/do/terminate/",
    "purge": "/hubs/default/i/ref-88/do/purge/",
    "raise": "/hubs/default/i/batch-2026-01-20/do/raise/",
    "conflict": "/hubs/default/i/ref-88/do/suspend/",
    "approvals": "/approvals/",
    "not-found": "/hubs/default/i/unknown/",
}
