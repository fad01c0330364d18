"""Logging: the standard library's, one tree of loggers under `orb_learning`.

The package only ever logs names, counts, paths and reasons, never an event's content. As a library
it installs no handler; the command line calls `configure`.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from orb_learning.errors import printable

LogFormat = Literal["text", "json"]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, message, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        line = json.dumps(entry, ensure_ascii=False)
        return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in line)


class TextFormatter(logging.Formatter):
    """One line a message; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the level and the message."""
        return f"{record.levelname} {printable(record.message)}"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a person reads it."""
        return printable(super().format(record), keep="\n")


def configure(level: int = logging.INFO, style: LogFormat = "text") -> None:
    """Send the package's log to standard error.

    Args:
        level: the lowest level shown.
        style: text for people, json for log collectors.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger("orb_learning")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False
