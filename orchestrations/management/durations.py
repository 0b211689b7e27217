"""Durations as people type them on the command line."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """A number and a unit, ``s m h d w``, such as ``7d``. Raises ArgumentTypeError, which argparse shows."""
    match = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    try:
        if match:
            return timedelta(**{UNITS[match[2]]: int(match[1])})
    except OverflowError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no duration. Give a number and a unit, such as 7d, 12h or 30m.")
