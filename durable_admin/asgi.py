"""The ASGI application: what a web server process loads."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "durable_admin.settings")
# Under ASGI each request has a thread of its own, so that a connection kept by its thread is kept for nothing.
os.environ.setdefault("DATABASE_POOL", "true")
django.setup(set_prefix=False)

# Their imports read the settings.
from durable_admin.loaded_code import keep_out_of_collections  # noqa: E402
from durable_admin.one_thread import OneThreadHandler  # noqa: E402

application = OneThreadHandler()
keep_out_of_collections()
