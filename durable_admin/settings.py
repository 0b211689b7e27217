"""The site's settings: one file, everything that differs between hosts from the environment.

Without a SECRET_KEY the site is local: it answers this machine only, over plain HTTP, and keeps a key of its own in
VAR_DIR. With one (and DEBUG off) it is in production: TLS, secure cookies and hashed static files. What fits neither
is refused. docs/reference/settings.md lists the variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ
from django.core.management.utils import get_random_secret_key

from durable_admin.databases import database_settings
from durable_admin.safeguards import (
    LOOPBACK_HOSTS,
    kept_secret,
    names,
    one_of,
    refuse_unsafe_site,
    switch,
    whole_number,
)
from orchestrations.limits import PAYLOAD_BYTES

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()

# The site and who may reach it ---------------------------------------------------------------------------------------

DEBUG = switch(env, "DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS = names(env, "ALLOWED_HOSTS") or list(LOOPBACK_HOSTS)
refuse_unsafe_site(secret_key=SECRET_KEY, debug=DEBUG, allowed_hosts=ALLOWED_HOSTS)
PRODUCTION = bool(SECRET_KEY) and not DEBUG
if not SECRET_KEY:
    SECRET_KEY = kept_secret(VAR_DIR / "secret_key", get_random_secret_key)

HOST = env.str("HOST", default="127.0.0.1")
PORT = whole_number(env, "PORT", 8000, minimum=1, maximum=65_535)
CSRF_TRUSTED_ORIGINS = names(env, "CSRF_TRUSTED_ORIGINS")

SECURE_SSL = switch(env, "SECURE_SSL", default=PRODUCTION)
SECURE_SSL_REDIRECT = SECURE_SSL
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # probes come from inside, without TLS
SECURE_HSTS_SECONDS = whole_number(
    env, "SECURE_HSTS_SECONDS", 3600 if SECURE_SSL else 0, minimum=0, maximum=2 * 365 * 86_400
)
SESSION_COOKIE_SECURE = SECURE_SSL
CSRF_COOKIE_SECURE = SECURE_SSL
# Not "no-referrer": with it browsers send "Origin: null" with every form, which the CSRF check must refuse.
SECURE_REFERRER_POLICY = "same-origin"
# HSTS for subdomains and browsers' preload lists speaks for hosts that are not this site's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# One payload of the largest size, and the form around it.
DATA_UPLOAD_MAX_MEMORY_SIZE = PAYLOAD_BYTES + 64 * 1024

# Applications --------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "orchestrations",
    "durable_admin",
    "durable_admin.samples",
    *names(env, "DURABLE_APPS"),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "durable_admin.request_ids.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "durable_admin.middleware.StaticFilesMiddleware",
    "durable_admin.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

# A second web server for people who only approve: it has no page of operations, no API and no admin.
ROOT_URLCONF = "durable_admin.approval_urls" if switch(env, "APPROVALS_ONLY", default=False) else "durable_admin.urls"
ASGI_APPLICATION = "durable_admin.asgi.application"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_NAME = "durable_session"  # browsers keep one cookie jar for all ports of a host
AUTHENTICATION_BACKENDS = ["orchestrations.access.backend.HoldingsBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Data ----------------------------------------------------------------------------------------------------------------

if not env.str("DATABASE_URL", default=""):
    VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
DATABASES: dict[str, dict[str, Any]] = {
    "default": database_settings(
        env.str("DATABASE_URL", default="") or f"sqlite:///{VAR_DIR / 'durable.sqlite3'}",
        pooled=switch(env, "DATABASE_POOL", default=False),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Orchestrations ------------------------------------------------------------------------------------------------------

WORKERS = whole_number(env, "WORKERS", 2, minimum=1, maximum=256)
Q_CLUSTER = {
    "name": "durable",
    "broker_class": "orchestrations.worker.broker.TaskHubBroker",
    "orm": "default",
    "workers": WORKERS,
    "timeout": 600,
    "retry": 720,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 250,
    "log_level": "WARNING",
}
DURABLE: dict[str, object] = {
    "SYSTEM_KEY": env.str("DURABLE_SYSTEM_KEY", default="") or None,
    "HTTP_ALLOWED": names(env, "DURABLE_HTTP_ALLOWED"),
    "BUILD": env.str("DURABLE_BUILD", default=""),
}
# The other site of the cross-app sample.
PARTNER_URL = env.str("PARTNER_URL", default="")
PARTNER_KEY = env.str("PARTNER_KEY", default="")
if PARTNER_KEY:
    DURABLE["HTTP_SECRETS"] = {"partner": PARTNER_KEY}

# The REST API --------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Durable Functions for Django",
    "DESCRIPTION": "Start, watch, answer and control orchestrations.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SCHEMA_PATH_PREFIX": "/api/",
    "POSTPROCESSING_HOOKS": [
        "orchestrations.interfaces.api.schema.close_bodies",
        "orchestrations.interfaces.api.schema.add_examples",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# What the browser gets -----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Production serves what collectstatic has hashed and compressed; elsewhere each file is served from where it lies.
STATIC_ROOT = VAR_DIR / "static" if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION
MEDIA_ROOT = VAR_DIR / "files"  # large payloads; nothing serves it
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "durable_admin.static_files.HashedStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Logs ----------------------------------------------------------------------------------------------------------------

LOG_FORMAT = one_of(env, "LOG_FORMAT", ["line", "json"])
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "durable_admin.logs.LineFormatter"},
        "json": {"()": "durable_admin.logs.JsonFormatter"},
    },
    "filters": {"request_id": {"()": "durable_admin.request_ids.RequestIdFilter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["request_id"]}},
    "root": {
        "handlers": ["console"],
        "level": one_of(env, "LOG_LEVEL", ["INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL"]),
    },
    "loggers": {
        # Django brings handlers of its own: everything goes through the one above.
        "django": {"handlers": [], "level": "NOTSET"},
        "django.server": {"handlers": [], "propagate": True},
        # They tell of every start, request and process.
        "uvicorn": {"handlers": [], "propagate": True, "level": "WARNING"},
        "uvicorn.access": {"handlers": [], "propagate": False},
        "django-q": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
    },
}
