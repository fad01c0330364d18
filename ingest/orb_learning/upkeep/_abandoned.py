"""Copies of staging that a killed backup left behind."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

_CLOSED = re.compile(r"\.staging-\d{8}T\d{12}-[0-9a-f]{8}")
_ABANDONED_SECONDS = 24 * 3600.0
"""A copy that has lain unfinished for so long is nobody's any more, in whatever directory."""


def delete_abandoned(folder: Path, *, is_ours: bool) -> None:
    """Delete copies that were killed; in a directory of others only those that are old."""
    for left in folder.glob(".staging-*"):
        if _CLOSED.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
            with suppress(FileNotFoundError):  # another home's backup is as busy here
                if is_ours or time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
