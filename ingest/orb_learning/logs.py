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
        return json.dumps(entry, ensure_ascii=False)


def configure(level: int = logging.INFO, style: LogFormat = "text") -> None:
    """Send the package's log to standard error.

    Args:
        level: the lowest level shown.
        style: text for people, json for log collectors.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if style == "json" else logging.Formatter("%(levelname)s %(message)s")
    )
    root = logging.getLogger("orb_learning")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False
