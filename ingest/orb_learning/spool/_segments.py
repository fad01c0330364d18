"""Reading the spool: which files are segments, and which of their lines are whole."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orb_learning.spool._limits import MAX_LINE_BYTES

SEGMENT_NAME = re.compile(r"^[0-9A-Za-z_-]{1,120}\.jsonl\Z")

BLOCK_BYTES = 1024 * 1024
"""How much of a segment is read at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a segment.

    Attributes:
        offset: bytes before it in the segment.
        length: its bytes, the newline included.
        data: the line without its newline, cut to `MAX_LINE_BYTES`.
        fault: why it cannot be an event, or an empty string.
    """

    offset: int
    length: int
    data: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Successive whole lines of a segment.

    Attributes:
        offset: bytes before them in the segment.
        lines: how many they are.
        size: their bytes, newlines included.
        data: the bytes themselves, where they are kept.
    """

    offset: int
    lines: int
    size: int
    data: bytes = b""

    def head(self, lines: int) -> Block:
        """Return its first lines, or all of it if it has no more."""
        if lines >= self.lines:
            return self
        rest = self.data.split(b"\n", lines)[lines]
        size = self.size - len(rest)
        return Block(self.offset, lines, size, self.data[:size])

    def __iter__(self) -> Iterator[Line]:
        """Yield its lines."""
        offset = self.offset
        for text in self.data.split(b"\n")[:-1]:
            length = len(text) + 1
            yield _line(offset, length, text[:MAX_LINE_BYTES])
            offset += length


MAX_READ_BYTES = 1024 * 1024 * 1024
"""A larger segment is none of ours: no writer lets one grow to a part of this."""


class Segment:
    """One open segment, read from an offset to its last whole line.

    A segment whose writer is gone is sealed: nothing will be appended, so what follows the last
    newline is a torn line and not one still being written.
    """

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self._fd = fd
        # Ask for the lock before the size: whatever a writer wrote before it let go is then seen.
        self.is_sealed = _is_unlocked(fd)
        self.size = os.fstat(fd).st_size

    def close(self) -> None:
        os.close(self._fd)

    def blocks(self, start: int, stop: int | None = None) -> Iterator[Block | Line]:
        """Yield all that `lines` yields, in blocks of whole lines where these are short enough."""
        end = self.size if stop is None else min(stop, self.size)
        position = start
        while position < end:
            data = os.pread(self._fd, min(BLOCK_BYTES, end - position), position)
            size = data.rfind(b"\n") + 1
            if size:
                yield Block(position, data.count(b"\n"), size, data[:size])
                position += size
                continue
            line = next(self.lines(position, stop), None)
            if line is None:
                break
            yield line
            position += line.length

    def lines(self, start: int, stop: int | None = None) -> Iterator[Line]:
        """Yield the lines from byte `start` up to `stop`, or to the size seen at its opening."""
        end = self.size if stop is None else min(stop, self.size)
        offset = start
        kept = b""
        length = 0
        position = start
        while position < end:
            chunk = os.pread(self._fd, min(BLOCK_BYTES, end - position), position)
            if not chunk:
                break
            position += len(chunk)
            pieces = chunk.split(b"\n")
            for piece in pieces[:-1]:
                data = _keep(kept, piece)
                length += len(piece) + 1
                yield _line(offset, length, data)
                offset += length
                kept, length = b"", 0
            kept = _keep(kept, pieces[-1])
            length += len(pieces[-1])
        if length and self.is_sealed and end == self.size:
            yield Line(offset, length, kept, "torn: the segment ends within this line")


def _keep(kept: bytes, piece: bytes) -> bytes:
    return (kept + piece[: MAX_LINE_BYTES - len(kept)]) if kept else piece[:MAX_LINE_BYTES]


def _line(offset: int, length: int, data: bytes) -> Line:
    if length > MAX_LINE_BYTES:
        fault = f"{length} bytes exceed the line limit of {MAX_LINE_BYTES}"
        return Line(offset, length, data, fault)
    if not data.strip():
        return Line(offset, length, data, "empty line")
    return Line(offset, length, data)


def _is_unlocked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def segment_names(spool: Path) -> list[str]:
    """Return the names of the spool's segments in the order they were begun."""
    try:
        with os.scandir(spool) as entries:
            return sorted(entry.name for entry in entries if SEGMENT_NAME.match(entry.name))
    except FileNotFoundError:
        return []


def open_segment(spool: Path, name: str) -> Segment | None:
    """Open a segment, or return None for what only looks like one.

    That is a link, a pipe, a folder, or a file of another user's: neither ours, nor that of the
    spool's owner or the superuser.
    """
    try:
        fd = os.open(spool / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in _owners(spool):
        os.close(fd)
        return None
    return Segment(name, fd)


def _owners(spool: Path) -> set[int]:
    return {0, os.geteuid(), spool.stat().st_uid}


def segment_sizes(spool: Path) -> dict[str, int]:
    """Return how many bytes each of the spool's segments has now."""
    sizes = {}
    for name in segment_names(spool):
        with suppress(OSError):
            sizes[name] = (spool / name).lstat().st_size
    return sizes
