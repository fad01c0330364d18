"""What is imported: files by name or pattern, and pipes, as files without their compression."""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from orb_learning.errors import ImportFileError

STANDARD_INPUT = Path("-")
_CHUNK = 1024 * 1024
_ZSTD_CHUNK = 4 * 1024  # a few bytes may stand for 128 KiB

F = TypeVar("F", bound=IO[Any])

Opener = Callable[[IO[bytes]], Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import.

    Attributes:
        name: what the user calls it.
        path: a regular file with its content, unpacked.
    """

    name: str
    path: Path
    _open: list[IO[Any]] = field(default_factory=list, repr=False, compare=False)

    def watched(self, file: F) -> F:
        """Return the file, opened, after noting that its rows are read from there."""
        self._open[:] = [file]
        return file

    def close(self) -> None:
        """Close what an import that ended early has left open."""
        for file in self._open:
            file.close()

    def place(self) -> int:
        """Return how many of its bytes are read; 0 where nobody says from where they are."""
        try:
            return os.lseek(self._open[0].fileno(), 0, os.SEEK_CUR)
        except (IndexError, ValueError):  # it is closed
            return 0


class MissingPackageError(Exception):
    """A package of the extra `import` is needed."""


class _Zstandard:
    """Reads what zstd has packed; the package's own reader takes half a file for a whole one."""

    def __init__(self, packed: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise MissingPackageError("it is compressed with zstd") from None
        self._packed = packed
        self._new_frame = zstandard.ZstdDecompressor().decompressobj
        self._error = zstandard.ZstdError
        self._frame: Any = None

    def read(self, _: int = -1) -> bytes:
        """Return some bytes of the content; none at its end.

        Raises:
            OSError: it is damaged.
            EOFError: its end is missing.
        """
        while chunk := (self._frame and self._frame.unused_data) or self._packed.read(_ZSTD_CHUNK):
            if self._frame is None or self._frame.eof:
                self._frame = self._new_frame()
            try:
                data: bytes = self._frame.decompress(chunk)
            except self._error as error:
                raise OSError(str(error)) from error
            if data:
                return data
        if not self._frame.eof:
            raise EOFError("its end is missing")
        return b""


_PACKED: dict[bytes, Opener] = {
    b"\x1f\x8b": lambda packed: gzip.GzipFile(fileobj=packed),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _Zstandard,
}
"""How a compressed file begins, and what unpacks it."""


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[Source]]:
    """Find the files that are named; copies of pipes and of packed files live as long as this.

    Args:
        paths: files, patterns such as `runs/*.jsonl`, pipes, and `-` for standard input.

    Raises:
        ImportFileError: one is not there, or cannot be read or unpacked.
    """
    with ExitStack() as stack:
        sources = [_source(name, path, stack) for name, path in _named(paths)]
        for source in sources:
            stack.callback(source.close)
        yield sources


def _named(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path == STANDARD_INPUT:
            yield "standard input", Path(f"/dev/fd/{sys.stdin.fileno()}")
        elif path.exists() or not glob.has_magic(str(path)):
            yield str(path), path
        elif found := [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]:  # noqa: PTH207
            yield from ((str(name), name) for name in found if not name.is_dir())
        else:
            raise ImportFileError(f"no file is named like {path}")


def _source(name: str, path: Path, stack: ExitStack) -> Source:
    if path.is_dir():
        raise ImportFileError(f"{name} is a directory; name its files, such as '{name}/*.jsonl'")
    if not path.exists():
        raise ImportFileError(f"{name} is not a file that can be read")
    try:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if not path.is_file():
            file, path = _copy(file, stack)
        unpack = _unpacker(file)
        if unpack:
            _, path = _copy(unpack(file), stack)
    except MissingPackageError as error:
        raise ImportFileError(f"{name}: {error}; {WITH_EXTRA}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ImportFileError(f"cannot read {name}: {error}") from error
    return Source(name, path)


WITH_EXTRA = "run: pip install 'orb-learning[import]'"


def _unpacker(file: IO[bytes]) -> Opener | None:
    head = file.read(8)
    file.seek(0)
    return next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)


def _copy(file: IO[bytes], stack: ExitStack) -> tuple[IO[bytes], Path]:
    """Copy a stream into a file without a name: nobody else can open it, and it goes with us."""
    copy: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(file, copy, _CHUNK)
    copy.flush()
    copy.seek(0)
    return copy, Path(f"/dev/fd/{copy.fileno()}")
