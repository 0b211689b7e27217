"""``manage.py api_reference``: the reference of the REST API, made of its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from drf_spectacular.generators import SchemaGenerator

from orchestrations.interfaces.api.reference import reference

MARK = "<!-- What follows is made of the schema, by manage.py api_reference. -->\n"


def page() -> Path:
    """Where it is kept."""
    return Path(settings.BASE_DIR) / "docs" / "reference" / "rest-api.md"


def written(text: str) -> str:
    """The page with what follows the mark made anew."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return f"{text.partition(MARK)[0]}{MARK}\n{reference(schema)}"


class Command(BaseCommand):
    """Rewrites docs/reference/rest-api.md."""

    help = "Makes the reference of the REST API in docs/reference/rest-api.md of the schema."

    def handle(self, *args: Any, **options: Any) -> None:
        path = page()
        path.write_text(written(path.read_text()))
        self.stdout.write(f"wrote {path}")
