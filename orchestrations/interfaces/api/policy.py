"""The content security policy of pages that come with a library: DRF's browsable pages, and viewers of the schema."""

from __future__ import annotations

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src blob:",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Such a page has inline scripts and styles of its own; whatever it loads is this site's."""
