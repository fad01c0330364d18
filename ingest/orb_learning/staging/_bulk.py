"""Validating in DuckDB what is spelled as every hook spells it, which is nearly every line.

Blocks of whole lines are copied into one file in memory, which DuckDB splits and parses on all its
threads. It takes a line only if it is canonical (see `_canonical`); whatever else stands in the
file is left to Python, line by line, and Python alone refuses.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orb_learning.events import EVENT_TYPES
from orb_learning.spool import BLOCK_BYTES, MAX_LINE_BYTES, Block
from orb_learning.staging._batch import Batch, Place
from orb_learning.staging._canonical import canonical
from orb_learning.staging._columns import batch_columns

if TYPE_CHECKING:
    import duckdb

_UNCLEAN = (b"\0", b"\1", b"\r", b"\n\n")
"""What DuckDB's reader of text takes for something else than part of a line."""
_MARK = b"\xef\xbb\xbf"
_HOLE = b"-\n"
"""Stands for each line that is not in the file, so that its row number is its position."""

_LINES_OF_ONE_THREAD = 10_000

_CANONICAL = {kind: sql for kind in EVENT_TYPES if (sql := canonical(kind))}

_KIND = "case {} end".format(
    " ".join(
        f"""when contains(line, '"event_type":"{kind}"') then '{kind}'""" for kind in _CANONICAL
    )
)
"""Of which kind a line would be; a wrong guess is not canonical."""


@dataclass(frozen=True, slots=True)
class _Copied:
    """A block that is in the file, from byte `start` on."""

    block: Block
    place: Place
    start: int


@dataclass(slots=True)
class Bulk:
    """The lines of one batch that DuckDB may validate."""

    fd: int
    lines: int = 0
    size: int = 0
    copied: list[_Copied] = field(default_factory=list)

    def offer(self, block: Block, place: Place) -> bool:
        """Copy a block's lines for DuckDB, or return False if it could not read them rightly."""
        if not _is_clean(block.data):
            return False
        self._skip_to(place.position)
        self.copied.append(_Copied(replace(block, data=b""), place, self.size))
        self._write(block.data, block.lines)
        return True

    def insert_into(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        """Make the batch's tables of the canonical lines, and have Python validate the others."""
        import duckdb

        if not self.copied:
            return
        try:
            doubted = self._insert(connection, batch)
        except (duckdb.DataError, duckdb.ProgrammingError):
            # What DuckDB cannot read or store, and where that is, is for Python to find.
            for kind in _CANONICAL:
                connection.execute(f"drop table if exists batch.{kind}")
            batch.kinds = set(batch.rows)
            doubted = None
        connection.execute("drop table if exists batch.lines")
        if doubted is None or doubted:
            self._validate(batch, doubted)

    def _insert(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> set[int] | None:
        """Return the positions of lines that are not canonical, or None if no line can be told."""
        connection.execute(
            f"""
            create or replace table batch.lines as
            select line, {_KIND} as kind
            from read_csv(
                '/dev/fd/{self.fd}', columns = {{'line': 'VARCHAR'}}, auto_detect = false,
                header = false, delim = '\1', quote = '', escape = '', new_line = '\\n',
                max_line_size = {BLOCK_BYTES + 1}, buffer_size = {4 * BLOCK_BYTES}
            )
            """
        )
        ((lines, size),) = connection.execute(
            "select count(*), sum(strlen(line)) + count(*) from batch.lines"
        ).fetchall()
        if (lines, size) != (self.lines, self.size):
            return None
        kinds = [
            kind
            for (kind,) in connection.execute(
                "select distinct kind from batch.lines where kind is not null"
            ).fetchall()
        ]
        for kind in kinds:
            declared = ", ".join(f'"{name}" {type_}' for name, type_ in batch_columns(kind).items())
            connection.execute(f"create or replace table batch.{kind} ({declared})")
        batch.kinds |= set(kinds)
        half = lines // 2 if lines > _LINES_OF_ONE_THREAD else lines
        _execute_all(
            connection,
            [
                _insert_accepted(kind, rows, batch.load_id)
                for kind in kinds
                for rows in (range(half), range(half, lines))
                if rows
            ],
        )
        tables = [f"select position from batch.{kind}" for kind in kinds]
        accepted = " union all ".join(tables) or "select 0 where false"
        ((taken,),) = connection.execute(f"select count(*) from ({accepted})").fetchall()
        if taken == lines:
            return set()
        return {
            position
            for (position,) in connection.execute(
                f"select rowid from batch.lines where rowid not in ({accepted})"
            ).fetchall()
        }

    def _validate(self, batch: Batch, doubted: set[int] | None) -> None:
        for copied in self.copied:
            first = copied.place.position
            positions = range(first, first + copied.block.lines)
            if doubted is not None and doubted.isdisjoint(positions):
                continue
            block = replace(copied.block, data=os.pread(self.fd, copied.block.size, copied.start))
            for position, line in zip(positions, block, strict=True):
                if doubted is None or position in doubted:
                    batch.validate(line, Place(position, copied.place.segment))

    def _skip_to(self, position: int) -> None:
        holes = position - self.lines
        self._write(_HOLE * holes, holes)

    def _write(self, data: bytes, lines: int) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self.fd, left) :]
        self.lines += lines
        self.size += len(data)


@contextmanager
def bulk_file() -> Iterator[Bulk]:
    """Make the file that the lines of a batch are copied into; no path leads to it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("orb-learning-load")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        yield Bulk(fd)
    finally:
        os.close(fd)


def _is_clean(data: bytes) -> bool:
    if data.startswith((b"\n", _MARK)) or any(part in data for part in _UNCLEAN):
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _execute_all(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    """Execute statements two at a time: DuckDB gives a small table's lines to one thread only."""

    def execute(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(execute, statements))


def _insert_accepted(kind: str, rows: range, load_id: int) -> str:
    """Return the statement that puts some rows' canonical lines into their kind's table."""
    sql = _CANONICAL[kind]
    columns = ", ".join(f'"row"."{name}"' for name in sql.columns)
    # `unnest` keeps DuckDB from parsing a line once for each of its columns.
    return f"""
        insert into batch.{kind}
        select {columns}, cast(md5({sql.said}) as uuid), {load_id}, position
        from (
            select
                rowid as position,
                line,
                unnest([try(from_json_strict(line, '{sql.shape}'))]) as "row"
            from batch.lines
            where
                kind = '{kind}'
                and rowid between {rows[0]} and {rows[-1]}
                and strlen(line) < {MAX_LINE_BYTES}
        ) as parsed
        where line = {sql.line} and {sql.holds}
    """
