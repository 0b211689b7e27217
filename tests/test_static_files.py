"""What the browser gets in production: two files of our own, small enough for a phone, under hashed names."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.files.storage import FileSystemStorage

from durable_admin import bundles
from durable_admin.static_files import BUNDLES, HashedStaticFilesStorage

STATIC = Path(__file__).resolve().parent.parent / "static"
LIBRARIES = ["django_htmx/htmx-2.min.js", "vendor/idiomorph-ext-0.8.0.min.js"]
LARGEST = 34 * 1024  # all of it, compressed, of which the two libraries are 20


def read(name: str) -> str:
    return (STATIC / "dashboard" / name).read_text()


def test_production_serves_the_bundles_compressed_and_under_hashed_names(tmp_path):
    source = FileSystemStorage(STATIC)
    names = [f"dashboard/{path.name}" for path in (STATIC / "dashboard").iterdir()]
    hashed = HashedStaticFilesStorage(location=tmp_path, base_url="/static/")
    for name in names:
        with source.open(name) as file:
            hashed.save(name, file)

    problems = [found for *_, found in hashed.post_process({name: (source, name) for name in names}) if not found]

    assert not problems
    for name, bundle in BUNDLES.items():
        served = hashed.stored_name(f"dashboard/{name}")
        assert re.fullmatch(r"dashboard/main\.[0-9a-f]{12}\.(css|js)", served)
        assert Path(hashed.path(served)).read_text() == bundle(name, read)
        assert gzip.decompress(Path(hashed.path(f"{served}.gz")).read_bytes()).decode() == bundle(name, read)


def test_everything_that_a_page_loads_fits_a_slow_line():
    ours = [bundle(name, read).encode() for name, bundle in BUNDLES.items()]
    libraries = [Path(finders.find(name)).read_bytes() for name in LIBRARIES]

    assert sum(len(gzip.compress(content)) for content in [*ours, *libraries]) < LARGEST


def test_every_style_sheet_and_module_is_part_of_its_bundle():
    sheets = {path.name for path in (STATIC / "dashboard").glob("*.css")} - {"main.css"}
    modules = {path.stem for path in (STATIC / "dashboard").glob("*.js")}

    assert set(re.findall(r'@import "\./(.+)";', read("main.css"))) == sheets
    assert set(re.findall(r"\bconst \$(\w+)=", bundles.script("main.js", read))) == modules


def test_a_bundle_runs_each_module_once_after_what_it_imports():
    sources = {
        "main.js": 'import "./one.js";\nimport { two } from "./two.js";\n\nrun(two);\n',
        "one.js": '/* What\n  it is. */\n\nimport { two } from "./two.js";\n\n'
        '// Why.\nif (a) {\n  say("1 // 2", two); // at last\n}\n',
        "two.js": "export const two = 2;\nexport async function wait() {}\n",
    }

    assert bundles.script("main.js", sources.__getitem__) == (
        "const $two=(()=>{const two=2;async function wait(){}\nreturn{two,wait};})();"
        'const $one=(()=>{const{two}=$two;if(a){say("1 // 2",two);}\nreturn{};})();'
        "const $main=(()=>{const{two}=$two;run(two);return{};})();"
    )


def test_a_style_sheet_takes_the_place_of_its_import():
    sources = {
        "main.css": '/* All. */\n\n@import "./one.css";\n@import "./two.css";\n',
        "one.css": "@layer one, two;\n",
        "two.css": '@layer two {\n  a:hover { content: "a: b"; color: red; } /* loud */\n}\n',
    }

    minified = '@layer one,two;@layer two{a:hover{content:"a: b";color:red}}'
    assert bundles.style_sheet("main.css", sources.__getitem__) == minified


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("export default 1;\n", "export default 1;"),
        ('import { a as b } from "./two.js";\n', "a as b"),
        ('const two = await import("./two.js");\n', r"import\("),
        ('import "./main.js";\n', "imports itself by way of main.js"),
    ],
)
def test_a_module_that_a_bundle_would_break_is_refused(source, complaint):
    with pytest.raises(bundles.BundleError, match=complaint):
        bundles.script("main.js", {"main.js": source, "two.js": ""}.__getitem__)


def test_no_selector_loses_a_space_that_it_needs():
    """Within a layer the minifier takes ``.list :is(td)`` for a declaration, and makes ``.list:is(td)`` of it."""
    for path in (STATIC / "dashboard").glob("*.css"):
        rules = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        assert re.findall(r"[\w\])] :[a-z-]+", rules) == [], path.name
