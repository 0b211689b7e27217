"""The ASGI application: what a web server process loads."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "durable_admin.settings")
# Under ASGI each request has a thread of its own, so that a connection kept by its thread is kept for nothing.
os.environ.setdefault("DATABASE_POOL", "true")
application = get_asgi_application()
