"""Path converters, registered by being imported: an instance id as one path segment, whatever characters it holds."""

from __future__ import annotations

import re

from django.urls import register_converter

ESCAPED = re.compile(r"~([0-9A-F]{2})")
UNSAFE = re.compile(r"[~/\\#?]")


class InstanceIdConverter:
    """Writes ``~2F`` for ``/`` and so on, and for the ids ``.`` and ``..``, which a browser would take for folders."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """The id that a URL names."""
        return ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)

    def to_url(self, value: str) -> str:
        """The segment for an id; Django percent-encodes the rest."""
        if value in (".", ".."):
            return "~2E" * len(value)
        return UNSAFE.sub(lambda match: f"~{ord(match[0]):02X}", value)


class HubConverter:
    """A task hub's name."""

    regex = "[A-Za-z0-9][A-Za-z0-9_-]{0,44}"

    def to_python(self, value: str) -> str:
        """The name as it stands."""
        return value

    def to_url(self, value: str) -> str:
        """The name as it stands."""
        return value


register_converter(HubConverter, "hub")
register_converter(InstanceIdConverter, "instance_id")
