#!/usr/bin/env python
"""Django's command-line entry point."""

import os
import sys


def main() -> None:
    """Runs the command; settings that can't work end it with one plain line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "durable_admin.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        hasattr(settings, "INSTALLED_APPS")  # reads them
    except ImproperlyConfigured as refusal:
        sys.exit(f"The settings can't work: {refusal}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
