"""Template tags of the dashboard: instants, durations, badges and icons. Everything that they print is escaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import template
from django.forms import BaseForm
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orchestrations.access.audit import DEEDS
from orchestrations.access.permissions import Action
from orchestrations.bulk.acts import ACTS
from orchestrations.conf import get_config
from orchestrations.interfaces.dashboard import links
from orchestrations.interfaces.dashboard.access import has_hub
from orchestrations.interfaces.dashboard.presentation import deeds, docstrings, durations, statuses
from orchestrations.interfaces.dashboard.presentation.problems import Problem
from orchestrations.interfaces.dashboard.presentation.problems import problems as problems_of
from orchestrations.interfaces.dashboard.presentation.verbs import BUTTONS, Verb
from orchestrations.interfaces.dashboard.reach import Reach, may_somewhere
from orchestrations.interfaces.dashboard.reader import PINNED, Reader, View, reader_of
from orchestrations.interfaces.dashboard.signing_in import to_sign_in
from orchestrations.models import AuditEntry
from orchestrations.search.language import Mark

register = template.Library()

THEMES = {"light", "dark"}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of the sprite, invisible to screen readers: the word beside it says the same."""
    return format_html('<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.simple_tag(takes_context=True)
def sign_in_url(context: Context, back: str = "") -> str:
    """Where one signs in, and comes back to that address or to this page."""
    return to_sign_in(context["request"], back).url


@register.inclusion_tag("dashboard/parts/badge.html")
def status_badge(status: str, asks_person: bool = False) -> dict[str, object]:
    """A status as icon, word and colour."""
    return {"badge": statuses.badge(status, asks_person)}


@register.inclusion_tag("dashboard/parts/badge.html")
def mark_badge(mark: Mark) -> dict[str, object]:
    """What is said of an instance beside its status."""
    return {"badge": statuses.MARK_BADGES[mark]}


@register.simple_tag(takes_context=True)
def reader(context: Context) -> Reader:
    """Who reads the page: zone, density, columns, views."""
    request = context.get("request")
    return reader_of(request) if request and hasattr(request, "user") else Reader()


@register.simple_tag(takes_context=True)
def pinned_views(context: Context, hub: str) -> list[tuple[View, None]]:
    """The saved views that the navigation shows of the hub; their counts come later."""
    views = reader(context).views
    return [(view, None) for view in views if view.hub == hub and view.is_pinned][:PINNED]


@register.simple_tag
def moment(instant: datetime | None, is_precise: bool = False) -> str | SafeString:
    """An instant as the reader's time of day, with the date where it is not today, and in UTC in the title.

    ``is_precise`` adds the milliseconds.
    """
    if instant is None:
        return "—"
    instant = instant.astimezone(UTC)
    milliseconds = f".{instant.microsecond // 1000:03}"
    return format_html(
        '<time datetime="{}" title="{} UTC" class="nowrap">{}</time>',
        instant.isoformat(timespec="milliseconds"),
        f"{instant:%Y-%m-%d %H:%M:%S}{milliseconds}",
        durations.clock(instant, timezone.now()) + (milliseconds if is_precise else ""),
    )


@register.simple_tag
def short_moment(instant: datetime | None) -> str | SafeString:
    """An instant for a column: the time of day to the second today, else the day and the time to the minute."""
    if instant is None:
        return "—"
    return format_html(
        '<time datetime="{}" title="{} UTC" class="nowrap">{}</time>',
        instant.isoformat(timespec="milliseconds"),
        f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        durations.short_clock(instant, timezone.now()),
    )


@register.simple_tag
def due(instant: datetime | None) -> str | SafeString:
    """A deadline as a distance, which ``clocks.js`` keeps up to date, and the instant in the title."""
    if instant is None:
        return "no deadline"
    return format_html(
        '<time datetime="{}" title="{} UTC" data-distance>{}</time>',
        instant.isoformat(),
        f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        durations.distance(instant, timezone.now()),
    )


@register.simple_tag
def ago(instant: datetime | None) -> str | SafeString:
    """How long ago something was, which ``clocks.js`` keeps up to date, and the instant in the title."""
    return due(instant) if instant is not None else ""


@register.simple_tag
def took(start: datetime | None, end: datetime | None) -> str | SafeString:
    """How long something took; while it goes on, how long so far, which ``clocks.js`` keeps counting."""
    if start is None:
        return "—"
    if end is not None:
        return durations.duration(end - start)
    return format_html(
        '<span class="nowrap" data-since="{}">{}</span>',
        start.isoformat(),
        durations.duration(max(timezone.now() - start, timedelta())),
    )


@register.simple_tag
def problems(form: BaseForm | None) -> list[Problem]:
    """What is wrong with a form, each problem with the id of the field to mend it at."""
    return problems_of(form)


@register.simple_tag
def span(length: timedelta | str | None) -> str:
    """A measured span of time; a dash where there is none, which a template gives as an empty text."""
    return durations.duration(length) if isinstance(length, timedelta) else "—"


@register.simple_tag
def period(length: timedelta) -> str:
    """A span of time as people say it."""
    return durations.roughly(length)


@register.simple_tag
def percent(share: float | None) -> str:
    """A share in percent; what is not quite all of it is never rounded up to it."""
    if share is None:
        return "—"
    return f"{min(share, 99.9):.1f} %" if share < 100 else "100 %"


@register.simple_tag
def rate(count: int, hours: float) -> str:
    """So many in an hour."""
    each = count / hours if hours else 0.0
    return "0" if not each else f"{each:,.0f}" if each >= 10 else f"{each:.2g}"


@register.filter
def docstring(text: str) -> SafeString:
    """What code says of itself, as paragraphs."""
    return docstrings.prose(text)


@register.filter
def docstring_line(text: str) -> SafeString:
    """A line of that."""
    return docstrings.inline(text)


@register.filter
def share(part: float) -> str:
    """A share of 1 in percent."""
    return percent(100 * part)


@register.filter
def deed(action: str) -> str:
    """What a row of the audit trail tells of, in words."""
    return DEEDS.get(action, action)


@register.filter
def told(entry: AuditEntry) -> str:
    """The details of a row of the audit trail in words; empty where it has none."""
    return "; ".join(deeds.told(entry.details))


@register.filter
def target_url(entry: AuditEntry) -> str:
    """The page of what a row of the audit trail names; empty where that is the task hub itself."""
    return links.target_url(entry.hub, entry.instance_id)


@register.filter
def commas(number: int) -> str:
    """A number with a comma at each thousand."""
    return f"{number:,}"


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """The theme that the reader chose: ``light``, ``dark``, or ``system``."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme", "") if request else ""
    chosen = chosen or reader(context).theme
    return chosen if chosen in THEMES else "system"


@register.simple_tag(takes_context=True)
def bulk_verbs(context: Context, hub: str) -> list[Verb]:
    """What the reader may do to several instances at once."""
    request = context["request"]
    return [verb for verb in BUTTONS if verb.action in ACTS and may_somewhere(request, verb.action, hub)]


@register.simple_tag(takes_context=True)
def hub_here(context: Context) -> str:
    """The task hub of the page. That of a page of an error is the address's, where it has one, else the site's own."""
    request = context.get("request")
    if "exception" not in context or request is None:
        return str(context.get("hub") or "")
    named = request.resolver_match.kwargs.get("hub", "") if request.resolver_match else ""
    return named if named and has_hub(named) else get_config().task_hub


@register.simple_tag(takes_context=True)
def reach(context: Context, hub: str | None) -> Reach:
    """What of the task hub is open to the reader."""
    request = context.get("request")
    return Reach.of(request, hub or "") if request and hasattr(request, "user") else Reach()


@register.simple_tag(takes_context=True)
def may_start(context: Context, hub: str, name: str) -> bool:
    """Whether the reader may start that orchestrator."""
    return may_somewhere(context["request"], Action.START, hub, name)
