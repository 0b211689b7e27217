"""What a request asks the instances list for: its query, its order and its place, all of it in the address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, QueryDict
from django.urls import reverse
from django.utils import timezone

from orchestrations.access.permissions import Action, names_open_to
from orchestrations.interfaces.dashboard.listing import ORDERS, Listing
from orchestrations.interfaces.dashboard.reader import reader_of
from orchestrations.search.language import Query, parse, quoted, write

BESIDE_QUERY = ("name", "tag", "version", "parent", "error", "fingerprint")
"""Parameters that are terms of the query as they stand; others, such as ``status`` and ``from``, need other words."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A place of the list, for one reader."""

    hub: str
    query: Query
    sort: str = ""
    cursor: str = ""
    visible: tuple[str, ...] | None = None
    """As in ``InstanceFilter``: names that the person may see. It is theirs, and no part of an address."""

    @classmethod
    def of(cls, request: HttpRequest, hub: str) -> Asked:
        """Read it from the address. Raises QueryError, and Http404 for an order that there is none of."""
        sort = request.GET.get("sort", "")
        if sort not in ORDERS:
            raise Http404(f"The list has no order {sort}.")
        query = parse(text_of(request.GET), reader_of(request).zone)
        visible = names_open_to(request.user, Action.VIEW, hub)
        return cls(hub, query, sort, request.GET.get("cursor", ""), visible)

    @property
    def text(self) -> str:
        """The query in its canonical form."""
        return write(self.query)

    def listing(self) -> Listing:
        """What that is now."""
        return Listing.of(self.query, self.sort, timezone.now(), self.visible)

    def with_query(self, **changes: object) -> Asked:
        """The first page of the query with these changes."""
        return replace(self, query=replace(self.query, **changes), cursor="")  # type: ignore[arg-type]

    def at(self, cursor: str | None) -> str:
        """The address of another page; empty where there is none."""
        return replace(self, cursor=cursor).url() if cursor else ""

    def parameters(self, **more: str) -> str:
        """The query and the order as the end of an address."""
        given = {"q": self.text, "sort": self.sort, **more}
        return urlencode({key: value for key, value in given.items() if value})

    def url(self, view: str = "dashboard:instances", **more: str) -> str:
        """The address of this page, or of another view with the same query."""
        parameters = self.parameters(cursor=self.cursor, **more)
        address = reverse(view, args=[self.hub])
        return f"{address}?{parameters}" if parameters else address


def text_of(parameters: QueryDict) -> str:
    """The query box and what stands beside it as one text: forms without JavaScript and links of other pages have
    parameters of their own, such as ``status=Failed``."""
    terms = [parameters.get("q", "").strip()]
    if status := parameters.get("status", ""):
        terms.append("waiting:human" if status == "waiting" else f"status:{quoted(status)}")
    if prefix := parameters.get("id", ""):
        terms.append(f"id:{quoted(prefix)}*")
    for key in BESIDE_QUERY:
        value = parameters.get(key, "").strip()
        is_prefix = key == "name" and len(value) > 1 and value.endswith("*")
        if value:
            terms.append(f"{key}:{quoted(value.removesuffix('*'))}*" if is_prefix else f"{key}:{quoted(value)}")
    for key, operator in (("from", ">"), ("to", "<")):
        if moment := parameters.get(key, "").strip():
            terms.append(f"created{operator}{quoted(moment)}")
    if parameters.get("children"):
        terms.append("children")
    return " ".join(term for term in terms if term)
