"""Static files in production: joined, compressed, and under hashed names, so that browsers keep them for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage
from whitenoise.storage import CompressedManifestStaticFilesStorage

from durable_admin import bundles

FOLDER = "dashboard"
BUNDLES = {"main.css": bundles.style_sheet, "main.js": bundles.script}


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Serves the dashboard's style sheets and modules as one file each, which has the name of what imports the rest."""

    def post_process(
        self, paths: dict[str, tuple[Storage, str]], dry_run: bool = False, **options: Any
    ) -> Iterator[tuple[str, str, bool | Exception]]:
        """Hashes and compresses the collected files, of which the bundles take the places of their sources."""

        def read(name: str) -> str:
            storage, path = paths[f"{FOLDER}/{name}"]
            with storage.open(path) as file:
                return bytes(file.read()).decode()

        joined = InMemoryStorage()
        for name, bundle in BUNDLES.items():
            joined.save(f"{FOLDER}/{name}", ContentFile(bundle(name, read)))
        made = {f"{FOLDER}/{name}": (joined, f"{FOLDER}/{name}") for name in BUNDLES}
        yield from super().post_process({**paths, **made}, dry_run=dry_run, **options)
