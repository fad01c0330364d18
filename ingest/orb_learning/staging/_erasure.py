"""Erasing a task or a user: from staging, the spool, quarantine, and all that is made from them.

A tombstone names its subject by the hash of the id. The load that brings it deletes the raw rows in
its own transaction, and so does every later load with what arrives late. Then, outside of any
transaction and again after a kill until it is done: the lines in the spool are blanked, the
warehouse and logs that were put aside are deleted, quarantine is cleared and the staging file is
written anew. Older publications go when the next one is made.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from orb_learning._database import connect
from orb_learning._faults import crash_point
from orb_learning._types import subject_hash, task_uuid, uuid_text_differs
from orb_learning.capture._spool import MAX_LINE_BYTES
from orb_learning.errors import InvalidEventError, OrbLearningError
from orb_learning.events import (
    EVENT_TYPES,
    TASK_EVENT_TYPES,
    Event,
    TaskErased,
    UserErased,
    describe,
)
from orb_learning.home import Home
from orb_learning.staging._file import checkpoint, damaged_logs, drop_warehouse, rewrite
from orb_learning.staging._lines import ERASED
from orb_learning.staging._naming import (
    Named,
    has_imported_id,
    named_by_event,
    named_by_refused,
)
from orb_learning.staging._segments import segment_names

if TYPE_CHECKING:
    import duckdb

    from orb_learning.staging._batch import Refusal

Erased = frozenset[tuple[str, str]]
"""Subjects, `task` or `user`, each with the hash of its id."""

_BLOCK = 1024 * 1024
_NO_SEGMENT = (errno.ENOENT, errno.EISDIR, errno.ELOOP, errno.ENXIO)
"""Of a file that is gone, or that is no segment of ours any more."""

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
    from orb_learning.capture._masking import pseudonym

    for what, ids in (("task", tasks), ("user", users)):
        for identity in ids:
            if not identity.strip():
                raise InvalidEventError(f"cannot erase a {what} without an id")
            if not _is_text(identity):
                raise InvalidEventError(f"cannot erase the {what} {identity!r}: it is no text")
    if not (tasks or users):
        raise InvalidEventError("nothing to erase: name a task or a user")
    try:
        tombstones: list[Event] = [TaskErased.of(_whole_task(home, task), reason) for task in tasks]
        # An event of no task may have a host's own reference in its metadata, as it is.
        tombstones += [
            TaskErased(task_hash=subject_hash(task.lower()), reason=reason)
            for task in tasks
            if uuid_text_differs(task, task_uuid(task))
        ]
        for user in users:
            # An id that the hooks masked, such as an e-mail address, was written as its pseudonym.
            tombstones += [UserErased.of(name, reason) for name in (user, pseudonym(user))]
    except ValidationError as error:
        raise InvalidEventError(f"cannot erase: {describe(error)}") from error
    _tell(home, tombstones)
    return len(tasks) + len(users)


def tell_again(home: Home, erased: Erased) -> None:
    """Write tombstones of what was erased before, for a staging that will not know of it."""
    _tell(
        home,
        [
            TaskErased(task_hash=value) if subject == "task" else UserErased(user_hash=value)
            for subject, value in sorted(erased)
        ],
    )


def _tell(home: Home, tombstones: Sequence[Event]) -> None:
    from orb_learning.capture import Telemetry

    if tombstones:
        home.create()
        with Telemetry(home.root, strict=True) as telemetry:
            for tombstone in tombstones:
                telemetry.capture_sync(tombstone)


def _is_text(identity: str) -> bool:
    try:
        identity.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def note_late_lines(connection: duckdb.DuckDBPyConnection, refusals: Sequence[Refusal]) -> None:
    """Mark erasures as not applied whose subjects are named in lines for quarantine."""
    erased = erased_subjects(connection)
    if erased and any(
        _is_refused_about(
            refusal.quarantine_id, refusal.claimed_type, refusal.stored, refusal.reason, erased
        )
        for refusal in refusals
    ):
        connection.execute("update ledger.erasures set is_applied = false")


def erased_subjects(connection: duckdb.DuckDBPyConnection) -> Erased:
    """Return every erased task and user of a staging of any schema version."""
    tables = {
        name
        for (name,) in connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
        ).fetchall()
    }
    if "ledger.erasures" in tables:
        known = "select subject, subject_hash from ledger.erasures"
    elif "raw.task_erased" in tables:  # as 0002_erasure_and_retention.down.sql leaves it
        known = """
            select
                case when metadata ->> '$.user_hash' is null then 'task' else 'user' end,
                coalesce(
                    metadata ->> '$.user_hash',
                    metadata ->> '$.task_hash',
                    sha256(cast(task_id as varchar))
                )
            from raw.task_erased
        """
    else:
        return frozenset()
    return frozenset(connection.execute(known).fetchall())


def without_tombstone(connection: duckdb.DuckDBPyConnection) -> Erased:
    """Return those of the erased whose tombstone is no raw row, as after a restored backup."""
    return frozenset(
        connection.execute(
            """
            select subject, subject_hash from ledger.erasures
            except select 'task', task_hash from raw.task_erased
            except select 'user', user_hash from raw.user_erased
            """
        ).fetchall()
    )


def must_apply(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an erasure has left traces outside of the raw tables."""
    return bool(
        connection.execute("select 1 from ledger.erasures where not is_applied limit 1").fetchone()
    )


def blank(connection: duckdb.DuckDBPyConnection, home: Home) -> bool:
    """Blank the spool's loaded lines of erased subjects, drop the warehouse, clear quarantine.

    Returns:
        whether every segment could be written to.
    """
    checkpoint(connection, home)  # what is blanked can never be loaded again
    crash_point("erase.checkpointed")
    erased = erased_subjects(connection)
    doomed = _doomed(connection, erased)
    read_to = dict(connection.execute("select segment, bytes_read from ledger.segments").fetchall())
    left = set()
    for name in segment_names(home.spool):
        # What is not loaded yet is erased by the load that reads it.
        if read_to.get(name) and not _blank_segment(
            home, name, read_to[name], erased, [place for _, place in doomed.get(name, [])]
        ):
            left.add(name)
    crash_point("erase.blanked")
    drop_warehouse(home)
    for log in damaged_logs(home):
        log.unlink(missing_ok=True)
    crash_point("erase.dropped")
    # Here, and not in the file that takes this one's place: nothing deleted is left in that. But
    # only quarantine knows the places in a segment that is left.
    ids = [identity for name in doomed.keys() - left for identity, _ in doomed[name]]
    if ids:
        connection.execute("begin")
        connection.execute(
            "delete from ledger.quarantine where quarantine_id in (select unnest($1))", [ids]
        )
        _note_removal(connection, "ledger.quarantine", len(ids))
        connection.execute("commit")
    return not left


def _doomed(
    connection: duckdb.DuckDBPyConnection, erased: Erased
) -> dict[str, list[tuple[UUID, tuple[int, int]]]]:
    """Return what is to leave quarantine, by segment: the id of each, its offset and length."""
    doomed: dict[str, list[tuple[UUID, tuple[int, int]]]] = {}
    found = connection.execute(
        "select quarantine_id, claimed_type, line, reason, segment, byte_offset, byte_length"
        " from ledger.quarantine"
    )
    while rows := found.fetchmany(100):  # each may be long
        for identity, kind, line, reason, segment, offset, length in rows:
            if _is_refused_about(identity, kind, bytes(line), reason, erased):
                doomed.setdefault(segment, []).append((identity, (offset, length)))
    return doomed


def finish(home: Home, *, is_whole: bool) -> None:
    """Write the closed staging file anew without what is erased.

    Args:
        home: whose staging.
        is_whole: everything was blanked, so that no later load need try again.
    """
    rewrite(home, *(["update ledger.erasures set is_applied = true"] if is_whole else []))
    crash_point("erase.applied")
    logger.info("erased what was asked for; the warehouse is built anew by the next run")


def _is_refused_about(
    identity: UUID, claimed_type: str | None, line: bytes, reason: str, erased: Erased
) -> bool:
    is_imported = claimed_type is not None and has_imported_id(identity)
    return _has_one_of(named_by_refused(line, is_imported=is_imported), erased) or _has_one_of(
        named_by_refused(reason.encode("utf-8", "replace")), erased
    )


def _has_one_of(named: Iterable[Named], erased: Erased) -> bool:
    return any((subject, subject_hash(identity)) in erased for subject, identity in named)


def _delete(connection: duckdb.DuckDBPyConnection, rows: str, erasures: str) -> None:
    """Delete the raw rows of subjects, and note how many there were.

    Args:
        connection: staging, within a transaction.
        rows: a condition in SQL on the rows to look at.
        erasures: a condition in SQL on the erasures to look for.
    """
    for kind, cls in EVENT_TYPES.items():
        ids = [("user", _scalar("user_id"))]
        if "user_id" in cls.model_fields:
            ids.append(("user", "user_id"))
        if kind in TASK_EVENT_TYPES:
            ids.append(("task", "cast(task_id as varchar)"))
        else:
            ids.append(("task", f"lower({_scalar('task_id')})"))
        names_one = " or ".join(
            f"sha256({spelled}) in (select subject_hash from ledger.erasures"
            f" where subject = '{subject}' and ({erasures}))"
            for subject, spelled in ids
        )
        ((count,),) = connection.execute(
            f"delete from raw.{kind} where ({rows}) and ({names_one})"
        ).fetchall()
        if count:
            _note_removal(connection, f"raw.{kind}", count)
            connection.execute(f"update ledger.erasures set is_applied = false where {erasures}")


def _scalar(key: str) -> str:
    """Return the SQL of a value in the metadata that is one value and no container of some."""
    path = f"metadata, '$.{key}'"
    is_one = f"json_type({path}) not in ('ARRAY', 'OBJECT')"
    return f"case when {is_one} then json_extract_string({path}) end"


def _note_removal(connection: duckdb.DuckDBPyConnection, table: str, count: int) -> None:
    connection.execute(
        "insert into ledger.removals values"
        " (cast(now() at time zone 'UTC' as timestamp), 'erasure', ?, ?)",
        [table, count],
    )


def _blank_segment(
    home: Home, name: str, read_to: int, erased: Erased, refused: list[tuple[int, int]]
) -> bool:
    """Blank the lines of erased subjects; return whether a later load need not try again."""
    try:
        fd = os.open(home.spool / name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        logger.warning("cannot erase from segment %s: %s", name, error.strerror)
        return error.errno in _NO_SEGMENT
    try:
        places = refused + _places(fd, read_to, erased)
        for offset, length in places:
            _overwrite(fd, offset, length)
        if places:
            os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _places(fd: int, read_to: int, erased: Erased) -> list[tuple[int, int]]:
    """Return where the lines of events about erased subjects stand, and how long they are."""
    places = []
    offset = 0
    is_whole = True
    with os.fdopen(os.dup(fd), "rb") as file:
        while part := file.readline(min(read_to - offset, MAX_LINE_BYTES + 1)):
            # A line longer than any event stands in quarantine, with its place.
            is_event = is_whole and len(part) <= MAX_LINE_BYTES
            if is_event and _has_one_of(named_by_event(part), erased):
                places.append((offset, len(part)))
            is_whole = part.endswith(b"\n")
            offset += len(part)
    return places


def _overwrite(fd: int, offset: int, length: int) -> None:
    # The same length, so that every position in the ledger stays true; a writer that has the
    # segment open appends behind it.
    end = offset + length
    if os.pread(fd, 1, end - 1) == b"\n":
        end -= 1
    end = min(end, os.fstat(fd).st_size)
    os.pwrite(fd, ERASED[: max(end - offset, 0)], offset)
    for start in range(offset + len(ERASED), end, _BLOCK):
        os.pwrite(fd, b" " * min(_BLOCK, end - start), start)
