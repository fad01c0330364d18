"""Writing files so that a reader, or a kill, never meets half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside a file; what is made there takes the file's place at the end.

    What raises within leaves the file as it was. A kill leaves the hidden file, which the next call
    begins anew; so only who holds the lock of the file's place may call.
    """
    fresh = path.with_name(f".{path.name}-new")
    leftovers = (fresh, fresh.with_name(f"{fresh.name}.wal"))
    for left in leftovers:
        left.unlink(missing_ok=True)
    try:
        yield fresh
        fresh.replace(path)
    finally:
        for left in leftovers:
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force a file or directory to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
