"""What the browser gets: small enough for a phone, and hashed all the way down in production."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from django.contrib.staticfiles import finders
from django.core.files.storage import FileSystemStorage

from durable_admin.static_files import HashedStaticFilesStorage

STATIC = Path(__file__).resolve().parent.parent / "static"
LIBRARIES = ["django_htmx/htmx-2.min.js", "vendor/idiomorph-ext-0.8.0.min.js"]
LARGEST = 45 * 1024  # all of it, compressed, of which the two libraries are 20


def test_the_modules_of_production_import_each_other_by_their_hashed_names(tmp_path):
    source = FileSystemStorage(STATIC)
    hashed = HashedStaticFilesStorage(location=tmp_path, base_url="/static/")
    modules = [f"dashboard/{path.name}" for path in sorted((STATIC / "dashboard").glob("*.js"))]
    for name in modules:
        with source.open(name) as file:
            hashed.save(name, file)

    problems = [found for *_, found in hashed.post_process({name: (source, name) for name in modules}) if not found]

    main = Path(hashed.path(hashed.stored_name("dashboard/main.js"))).read_text()
    imported = re.findall(r'"\./([\w.-]+)\.js"', main)
    assert not problems
    assert imported
    assert all(re.fullmatch(r"\w+\.[0-9a-f]{12}", name) for name in imported)


def test_everything_that_a_page_loads_fits_a_slow_line():
    files = [*(STATIC / "dashboard").glob("*.*"), *(Path(finders.find(name)) for name in LIBRARIES)]

    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < LARGEST
