"""Erasing a task or a user: from staging, the spool, quarantine, and all that is made from them.

A tombstone names its subject by the hash of the id. The load that brings it deletes the raw rows in
its own transaction, and so does every later load with what arrives late. Then, outside of any
transaction and again after a kill until it is done: the lines in the spool are blanked, the
warehouse is dropped, quarantine is cleared and the staging file is written anew. Older publications
go when the next one is made.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orb_learning._database import connect, literal
from orb_learning._faults import crash_point
from orb_learning._types import subject_hash, task_uuid
from orb_learning.errors import InvalidEventError, OrbLearningError
from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES, Event, TaskErased, UserErased
from orb_learning.home import Home
from orb_learning.staging._file import checkpoint, drop_warehouse, rewrite
from orb_learning.staging._lines import ERASED
from orb_learning.staging._segments import segment_names

if TYPE_CHECKING:
    import duckdb


_KEYED = re.compile(rb'"(?:task_id|task_ref|user_id)":\s*"((?:[^"\\]|\\.)*)"')
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'')
_BARE = re.compile(rb"[^\s\"'\\,;:(){}\[\]<>=]+")
_UUID = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")

logger = logging.getLogger("orb_learning.staging")


def request_erasure(
    home: Home, *, tasks: Sequence[str] = (), users: Sequence[str] = (), reason: str | None = None
) -> int:
    """Write the tombstones of tasks and users to the spool; the next refresh erases them.

    Args:
        home: whose data.
        tasks: UUIDs, or the host's own references. An execution's id that is a later attempt's
            stands for its whole task where the current publication knows it.
        users: the ids of users, as events spell them in `user_id`.
        reason: kept with the tombstone; it must not name the subject.

    Raises:
        InvalidEventError: nothing was named, or an id is empty.
        SpoolWriteError: the spool refused a tombstone.
    """
    from orb_learning.capture import Telemetry

    try:
        tombstones: list[Event] = [TaskErased.of(_whole_task(home, task), reason) for task in tasks]
    except ValueError as error:
        raise InvalidEventError(f"cannot erase a task without an id: {error}") from error
    if not all(user.strip() for user in users):
        raise InvalidEventError("cannot erase a user without an id")
    tombstones += [UserErased.of(user, reason) for user in users]
    if not tombstones:
        raise InvalidEventError("nothing to erase: name a task or a user")
    home.create()
    with Telemetry(home.root, strict=True) as telemetry:
        for tombstone in tombstones:
            telemetry.capture_sync(tombstone)
    return len(tombstones)


def _whole_task(home: Home, task: str) -> str:
    import duckdb

    task_id = str(task_uuid(task))
    try:
        with connect(home.learning_db, read_only=True) as published:
            found = published.execute(
                "select coalesce(parent_task_id, task_id) from executions where task_id = ?",
                [task_id],
            ).fetchone()
    except (duckdb.Error, OrbLearningError):
        found = None
    return str(found[0]) if found else task_id


def erase_rows(connection: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Delete the raw rows of erased subjects, within a load's transaction.

    Args:
        connection: staging, with the load's rows inserted.
        load_id: the load; of its own tombstones every row goes, of older ones the rows it brought.
    """
    connection.execute(
        """
        insert into ledger.erasures
        select distinct subject, subject_hash, cast($load as bigint), false
        from (
            select 'task' as subject, task_hash as subject_hash from raw.task_erased
            where load_id = $load
            union all
            select 'user', user_hash from raw.user_erased where load_id = $load
        ) as tombstones
        where (subject, subject_hash) not in (select subject, subject_hash from ledger.erasures)
        """,
        {"load": load_id},
    )
    ((known, new),) = connection.execute(
        "select count(*), count(*) filter (where load_id = ?) from ledger.erasures", [load_id]
    ).fetchall()
    if known:
        _delete(connection, f"load_id = {load_id}", f"load_id < {load_id}")
    if new:
        _delete(connection, "true", f"load_id = {load_id}")


def erase_all_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete every raw row of every erased subject, and mark all erasures as not yet applied."""
    _delete(connection, "true", "true")
    connection.execute("update ledger.erasures set is_applied = false")


def note_late_lines(connection: duckdb.DuckDBPyConnection, lines: list[bytes]) -> None:
    """Mark erasures as not applied whose subjects are named in lines for quarantine."""
    hashes = erased_hashes(connection)
    if hashes and any(mentions(line, hashes, is_broken=True) for line in lines):
        connection.execute("update ledger.erasures set is_applied = false")


def erased_hashes(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Return the hashes of every erased task and user."""
    rows = connection.execute("select subject_hash from ledger.erasures").fetchall()
    return frozenset(value for (value,) in rows)


def must_apply(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an erasure has left traces outside of the raw tables."""
    return bool(
        connection.execute("select 1 from ledger.erasures where not is_applied limit 1").fetchone()
    )


def blank_and_list(connection: duckdb.DuckDBPyConnection, home: Home) -> list[str]:
    """Blank the spool's loaded lines of erased subjects and drop the warehouse.

    Returns:
        the statements that clear quarantine and note that everything is applied, for the staging
        file that takes this one's place.
    """
    checkpoint(connection, home)  # what is blanked can never be loaded again
    crash_point("erase.checkpointed")
    hashes = erased_hashes(connection)
    broken = connection.execute(
        "select quarantine_id, segment, byte_offset, byte_length, line from ledger.quarantine"
    ).fetchall()
    doomed = [row for row in broken if mentions(bytes(row[4]), hashes, is_broken=True)]
    places: dict[str, list[tuple[int, int]]] = {}
    for _, segment, offset, length, _ in doomed:
        places.setdefault(segment, []).append((offset, length))
    read_to = dict(connection.execute("select segment, bytes_read from ledger.segments").fetchall())
    for name in segment_names(home.spool):
        _blank_segment(home, name, read_to.get(name, 0), hashes, places.get(name, []))
    crash_point("erase.blanked")
    drop_warehouse(home)
    crash_point("erase.dropped")
    statements = ["update ledger.erasures set is_applied = true"]
    if doomed:
        listed = ", ".join(literal(str(row[0])) for row in doomed)
        statements += [
            f"delete from ledger.quarantine where quarantine_id in ({listed})",
            "insert into ledger.removals values (cast(now() at time zone 'UTC' as timestamp),"
            f" 'erasure', 'ledger.quarantine', {len(doomed)})",
        ]
    return statements


def apply_erasures(home: Home, statements: list[str]) -> None:
    """Write the closed staging file anew without what is erased. See `blank_and_list`."""
    rewrite(home, *statements)
    crash_point("erase.applied")
    logger.info("erased what was asked for; the warehouse is built anew by the next run")


def mentions(text: bytes, hashes: frozenset[str], *, is_broken: bool) -> bool:
    """Tell whether a line names an erased subject.

    Args:
        text: a line of a segment, or what stands in quarantine.
        hashes: what `subject_hash` gives for each subject.
        is_broken: the line is no event, so that any word or quoted text in it may be an id.
    """
    # An event that a hook refused stands as text within the text of its line.
    return any(
        _spells_one_of(token, hashes)
        for token in _tokens(text, is_broken or b'"invalid_event"' in text)
    )


def _delete(connection: duckdb.DuckDBPyConnection, rows: str, erasures: str) -> None:
    """Delete the raw rows of subjects, and note how many there were.

    Args:
        connection: staging, within a transaction.
        rows: a condition in SQL on the rows to look at.
        erasures: a condition in SQL on the erasures to look for.
    """
    for kind, cls in EVENT_TYPES.items():
        ids = [("user", "json_extract_string(metadata, '$.user_id')")]
        if "user_id" in cls.model_fields:
            ids.append(("user", "user_id"))
        if kind in TASK_EVENT_TYPES:
            ids.append(("task", "cast(task_id as varchar)"))
        names_one = " or ".join(
            f"sha256({spelled}) in (select subject_hash from ledger.erasures"
            f" where subject = '{subject}' and ({erasures}))"
            for subject, spelled in ids
        )
        ((count,),) = connection.execute(
            f"delete from raw.{kind} where ({rows}) and ({names_one})"
        ).fetchall()
        if count:
            connection.execute(
                "insert into ledger.removals values"
                f" (cast(now() at time zone 'UTC' as timestamp), 'erasure', 'raw.{kind}', ?)",
                [count],
            )
            connection.execute(f"update ledger.erasures set is_applied = false where {erasures}")


def _tokens(text: bytes, is_broken: bool) -> Iterator[str]:
    for match in _UUID.finditer(text):
        yield match[0].decode()
    if is_broken:
        for match in _BARE.finditer(text):
            yield match[0].decode("utf-8", "replace").rstrip(".!?")
    for match in (_QUOTED if is_broken else _KEYED).finditer(text):
        token = next(group for group in match.groups() if group is not None)
        yield _unescaped(token)
        if is_broken and b"\\" in token:
            yield from _tokens(_unescaped(token).encode("utf-8", "replace"), is_broken)


def _unescaped(token: bytes) -> str:
    text = token.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _spells_one_of(token: str, hashes: frozenset[str]) -> bool:
    if not token or len(token) > 1000:
        return False
    if subject_hash(token) in hashes:
        return True
    try:
        return subject_hash(str(task_uuid(token))) in hashes
    except ValueError:
        return False


def _blank_segment(
    home: Home,
    name: str,
    read_to: int,
    hashes: frozenset[str],
    broken: list[tuple[int, int]],
) -> None:
    if not read_to:
        return  # what is not loaded yet is erased by the load that reads it
    try:
        fd = os.open(home.spool / name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        logger.warning("cannot erase from segment %s: %s", name, error.strerror)
        return
    try:
        places = list(broken)
        offset = 0
        with os.fdopen(os.dup(fd), "rb") as file:
            while offset < read_to:
                line = file.readline(read_to - offset)
                if not line:
                    break
                if mentions(line, hashes, is_broken=False):
                    places.append((offset, len(line)))
                offset += len(line)
        for start, length in places:
            # The same length, so that every position in the ledger stays true; a writer that has
            # the segment open appends behind it.
            body = os.pread(fd, length, start)
            end = b"\n" if body.endswith(b"\n") else b""
            blank = ERASED[: len(body) - len(end)].ljust(len(body) - len(end)) + end
            os.pwrite(fd, blank, start)
        if places:
            os.fsync(fd)
    finally:
        os.close(fd)
