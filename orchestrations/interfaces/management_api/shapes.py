"""What bodies of requests may hold, and what answers hold beside the wire format. Names are in camelCase."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from orchestrations.limits import TAG_CHARACTERS, TAGS

TagName = Annotated[str, Meta(max_length=TAG_CHARACTERS)]
TagChanges = Annotated[dict[TagName, TagName | None], Meta(min_length=1, max_length=TAGS)]
"""Each tag with its value, or null to remove it."""


class Count(Struct, rename="camel", frozen=True):
    """How many instances have one value. With ``isCapped`` there are more than were counted."""

    value: str | None
    """None where they have none."""
    count: int
    is_capped: bool
