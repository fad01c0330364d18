"""Blanking the lines of segments in place, while their writers append behind them."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from orb_learning.spool._limits import MAX_LINE_BYTES

_BLOCK = 1024 * 1024
_NO_SEGMENT = (errno.ENOENT, errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""Of a file that is gone, or that is no segment of ours any more."""

ERASED = b"erased on request"
"""How a line begins, followed by blanks, whose task or user was erased."""

Span = tuple[int, int]
"""Where a line begins, and its length with its end."""

logger = logging.getLogger("orb_learning.staging")


def blank_segment(
    path: Path,
    read_to: int,
    known: Sequence[Span],
    must_go: Callable[[bytes], bool],
    read_from: int = 0,
) -> bool:
    """Blank lines of a segment; return whether a later load need not try again.

    Args:
        path: the segment.
        read_to: how many of its bytes are loaded; what follows is left as it is.
        known: spans to blank in any case.
        must_go: tells of a line, or of a part of a long one, whether to blank it too.
        read_from: where a line begins before which nothing is searched.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        logger.warning("cannot erase from segment %s: %s", path.name, error.strerror)
        return error.errno in _NO_SEGMENT
    try:
        spans = [*known, *_spans(fd, read_from, read_to, must_go)]
        for offset, length in spans:
            _overwrite(fd, offset, length)
        if spans:
            os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _spans(fd: int, read_from: int, read_to: int, must_go: Callable[[bytes], bool]) -> list[Span]:
    spans = []
    begin = offset = read_from
    is_found = False
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(read_from)
        # In parts, for a line that is longer than any event: such a one goes whole.
        while part := file.readline(min(read_to - offset, MAX_LINE_BYTES)):
            is_found = is_found or must_go(part)
            offset += len(part)
            if part.endswith(b"\n"):
                spans += [(begin, offset - begin)] if is_found else []
                begin, is_found = offset, False
    return [*spans, (begin, offset - begin)] if is_found else spans


def _overwrite(fd: int, offset: int, length: int) -> None:
    # The same length, so that every position in the ledger stays true; a writer that has the
    # segment open appends behind it.
    end = offset + length
    if os.pread(fd, 1, end - 1) == b"\n":
        end -= 1
    end = min(end, os.fstat(fd).st_size)
    # From the end: until the last write the line says whom it is about, and a kill in between
    # leaves nothing behind that says it is done.
    for start in reversed(range(offset, end, _BLOCK)):
        length = min(_BLOCK, end - start)
        blank = ERASED if start == offset else b""
        os.pwrite(fd, blank[:length].ljust(length), start)
