"""The encoding of a text file, told by its bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from orb_learning.errors import ImportFileError
from orb_learning.importer._sources import Source

_CHUNK = 1024 * 1024
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UNMARKED = (
    (re.compile(rb"[^\0]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0[^\0]"), "utf-32-be"),
    (re.compile(rb"[^\0]\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]"), "utf-16-be"),
)
_MULTIBYTE = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
"""Two bytes in a row that UTF-8 uses together and text in cp1252 hardly ever has."""


def encoding_of(source: Source) -> str:
    """Return the encoding of a text file: by its mark, else UTF-8, else the one of Windows.

    A file in UTF-8 with some damaged bytes stays UTF-8: its damaged rows are refused one by one.

    Raises:
        ImportFileError: it is in none that is known here.
    """
    with source.path.open("rb") as file:
        head = file.read(4)
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return _checked(source, name)
    for pattern, name in _UNMARKED:
        if pattern.match(head):
            return _checked(source, name)
    if _can_be(source.path, "utf-8"):
        return "utf-8"
    if any(_MULTIBYTE.search(chunk) for chunk in _chunks(source.path)):
        return "utf-8"
    return _checked(source, "cp1252")


def _checked(source: Source, name: str) -> str:
    if name != "utf-8-sig" and not _can_be(source.path, name):
        raise ImportFileError(
            f"cannot read {source.name}: it is no text in {name.upper()}; write it in UTF-8"
        )
    return name


def _can_be(path: Path, name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
