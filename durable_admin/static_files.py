"""Static files in production: hashed names, so that browsers keep them for good, and compressed."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Hashes the names in the ``import`` statements of the dashboard's modules too.

    Django can do so for every ``*.js`` (``support_js_module_import_aggregation``), but its patterns would also read
    the minified bundles of other packages, which hold texts that look like imports.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        (
            "dashboard/*.js",
            (
                (r"""(?P<matched>from\s+"(?P<url>\./.*?)";)""", 'from "%(url)s";'),
                (r"""(?P<matched>import\s+"(?P<url>\./.*?)";)""", 'import "%(url)s";'),
            ),
        ),
    )
