"""Erasing tasks, users and imports from what a load brings, within the load's transaction.

A tombstone names its subject by the hash of the id. The load that brings it deletes the raw rows. A
user's tasks go whole: each leaves a hash of its own, for what arrives late. Rows of erased subjects
that arrive later are never inserted. What lies outside of the raw tables is taken out afterwards
(`orb_learning.upkeep`), but for the lines of this very load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from orb_learning._types import subject_hash
from orb_learning.events import (
    EVENT_TYPES,
    Event,
    Feedback,
    ImportUndone,
    TaskErased,
    UserErased,
)
from orb_learning.home import Home
from orb_learning.spool import blank_segment
from orb_learning.staging._batch import Batch, Refusal
from orb_learning.staging._owners import (
    Erased,
    hashes_of,
    is_about,
    is_erased,
    parameters,
    spelled_users,
    tasks_of,
)
from orb_learning.staging._subjects import (
    Named,
    Subject,
    has_imported_id,
    named_as_such,
    named_by_event,
    named_by_refused,
)

if TYPE_CHECKING:
    import duckdb


TOMBSTONES: dict[type[Event], Subject] = {
    TaskErased: "task",
    UserErased: "user",
    ImportUndone: "import",
}
"""What each kind of tombstone erases."""


def erased_subjects(connection: duckdb.DuckDBPyConnection) -> Erased:
    """Return everything erased, of a staging of any schema version."""
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
            except select 'import', import_hash from raw.import_undone
            """
        ).fetchall()
    )


def erase_rows(connection: duckdb.DuckDBPyConnection, batch: Batch) -> Erased:
    """Erase before a load's rows are inserted, within its transaction.

    Rows that staging holds are deleted. Lines of the load that are about an erased subject are
    marked in `temp.erased_lines`, for `insert_new` to leave out.

    Returns:
        what is erased, those subjects included that this load names first.
    """
    connection.execute("create or replace temp table erased_lines (position bigint)")
    asked = _note_tombstones(connection, batch)
    erased = erased_subjects(connection)
    if not erased:
        return erased
    tasks = _tasks_of_users(connection, batch, erased, asked)
    _note(connection, tasks, is_applied=True)
    _mark_lines(connection, batch, erased | tasks)
    if asked or tasks:
        is_held = _delete_held(connection, asked | tasks)
        if is_held or _is_quarantined(connection, tasks):
            connection.execute(
                "update ledger.erasures set load_id = $load, is_applied = false"
                " where (subject, subject_hash) in (select unnest($subjects), unnest($hashes))",
                {
                    "load": batch.load_id,
                    "subjects": [subject for subject, _ in asked | tasks],
                    "hashes": [value for _, value in asked | tasks],
                },
            )
    return erased | tasks


def erase_all_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete every raw row of every erased subject, and mark all erasures as not yet applied."""
    erased = erased_subjects(connection)
    users = frozenset(one for one in erased if one[0] == "user")
    tasks = tasks_in(connection, "raw", _held_kinds(connection), users) - erased
    _note(connection, tasks, is_applied=False)
    _delete_held(connection, erased | tasks)
    connection.execute(
        "update ledger.erasures set is_applied = false, load_id ="
        " greatest(load_id, (select coalesce(max(load_id), 0) from ledger.loads))"
    )


def blank_lines(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    batch: Batch,
    erased: Erased,
    refused: Sequence[Refusal],
) -> None:
    """Blank the lines of a load that are about erased subjects, before it is committed.

    Afterwards nobody would know where they are. After a kill in between they are read as blanks.
    """
    if not refused and not connection.execute("from temp.erased_lines limit 1").fetchone():
        return
    known: dict[int, list[tuple[int, int]]] = {}
    for refusal in refused:
        known.setdefault(refusal.place.segment, []).append(
            (refusal.line.offset, refusal.line.length)
        )
    for number, progress in enumerate(batch.segments):
        if not blank_segment(
            home.spool / progress.name,
            progress.read_to,
            known.get(number, []),
            lambda line: has_one_of(named_by_event(line), erased),
            progress.read_from,
        ):
            connection.execute("update ledger.erasures set is_applied = false")


def must_apply(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an erasure has left traces outside of the raw tables."""
    return bool(
        connection.execute("select 1 from ledger.erasures where not is_applied limit 1").fetchone()
    )


def was_held(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether a warehouse may hold something of what is erased and not yet applied."""
    return bool(
        connection.execute(
            "select 1 from ledger.erasures where not is_applied and load_id > 0 limit 1"
        ).fetchone()
    )


class Refused(NamedTuple):
    """A line in quarantine, and where it stands in the spool."""

    quarantine_id: UUID
    claimed_type: str | None
    line: bytes
    reason: str
    import_id: str | None
    segment: str
    offset: int
    length: int


def is_refused_about(refused: Refused, erased: Erased) -> bool:
    """Tell whether a line in quarantine is about an erased subject."""
    if refused.import_id is not None and is_erased("import", refused.import_id, erased):
        return True
    is_imported = refused.claimed_type is not None and has_imported_id(refused.quarantine_id)
    named = named_by_refused(refused.line, is_imported=is_imported)
    reason = refused.reason.encode("utf-8", "replace")
    return has_one_of(named, erased) or has_one_of(named_by_refused(reason), erased)


def has_one_of(named: Iterable[Named], erased: Erased) -> bool:
    """Tell whether an erased subject is among those named."""
    return any(is_erased(subject, identity, erased) for subject, identity in named)


def _note_tombstones(connection: duckdb.DuckDBPyConnection, batch: Batch) -> Erased:
    """Note the subjects that a load's tombstones name first, and return them."""
    asked: set[tuple[str, str]] = set()
    for cls, subject in TOMBSTONES.items():
        if cls.type_name in batch.kinds:
            found = connection.execute(f"select {subject}_hash from batch.{cls.type_name}")
            asked |= {(subject, value) for (value,) in found.fetchall()}
    if not asked:
        return frozenset()
    new = frozenset(asked) - erased_subjects(connection)
    _note(connection, new, is_applied=False)
    return new


def _note(connection: duckdb.DuckDBPyConnection, subjects: Erased, *, is_applied: bool) -> None:
    for subject in {subject for subject, _ in subjects}:
        connection.execute(
            "insert into ledger.erasures select $subject, unnest($hashes), 0, $is_applied",
            {
                "subject": subject,
                "hashes": hashes_of(subjects, subject),
                "is_applied": is_applied,
            },
        )


def _tasks_of_users(
    connection: duckdb.DuckDBPyConnection, batch: Batch, erased: Erased, asked: Erased
) -> Erased:
    """Return the tasks of erased users that are not known as erased yet.

    Rows and quarantine of earlier loads are searched for those only who are named first; of all
    others they hold nothing.
    """
    users = frozenset(one for one in erased if one[0] == "user")
    if not users:
        return frozenset()
    found = tasks_in(connection, "batch", batch.kinds, users)
    for refusal in batch.refusals:
        found |= tasks_in_refused(refusal.claimed_type, refusal.stored, users)
    if new := users & asked:
        found |= tasks_in(connection, "raw", _held_kinds(connection), new)
        for line in refused_lines(connection):
            found |= tasks_in_refused(line.claimed_type, line.line, new)
    return found - erased


def tasks_in(
    connection: duckdb.DuckDBPyConnection, schema: str, kinds: Iterable[str], users: Erased
) -> Erased:
    """Return the tasks of users, as the tables of a schema say it."""
    hashes: set[str] = set()
    for kind in kinds:
        table = f"{schema}.{kind}"
        hashes |= tasks_of(connection, table, kind, spelled_users(connection, table, kind, users))
    return frozenset(("task", value) for value in hashes)


def tasks_in_refused(kind: str | None, line: bytes, users: Erased) -> Erased:
    """Return the tasks that a line in quarantine says are users'."""
    if kind == Feedback.type_name:
        return frozenset()
    named = list(named_as_such(line))
    if not has_one_of(named, users):
        return frozenset()
    return frozenset(
        (subject, subject_hash(identity)) for subject, identity in named if subject == "task"
    )


def refused_lines(connection: duckdb.DuckDBPyConnection) -> Iterator[Refused]:
    """Yield what quarantine holds; the connection does nothing else meanwhile."""
    found = connection.execute(
        "select quarantine_id, claimed_type, line, reason, import_id, segment, byte_offset,"
        " byte_length from ledger.quarantine"
    )
    while rows := found.fetchmany(100):  # each may be long
        yield from (Refused(*row) for row in rows)


def _is_quarantined(connection: duckdb.DuckDBPyConnection, tasks: Erased) -> bool:
    return bool(tasks) and any(
        is_refused_about(refused, tasks) for refused in refused_lines(connection)
    )


def _mark_lines(connection: duckdb.DuckDBPyConnection, batch: Batch, erased: Erased) -> None:
    for kind in batch.kinds:
        table = f"batch.{kind}"
        connection.execute(
            f"insert into temp.erased_lines select position from {table} where {is_about(kind)}",
            parameters(connection, table, kind, erased),
        )


def _delete_held(connection: duckdb.DuckDBPyConnection, erased: Erased) -> bool:
    """Delete the raw rows of subjects and note how many; return whether there were any."""
    is_held = False
    for kind in _held_kinds(connection):
        table = f"raw.{kind}"
        ((count,),) = connection.execute(
            f"delete from {table} where {is_about(kind)}",
            parameters(connection, table, kind, erased),
        ).fetchall()
        if count:
            note_removal(connection, table, count)
            is_held = True
    return is_held


def _held_kinds(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the kinds of event that staging holds: few where there is little."""
    held = " union all ".join(
        f"(select '{kind}' as kind from raw.{kind} limit 1)" for kind in EVENT_TYPES
    )
    return [kind for (kind,) in connection.execute(f"{held} order by kind").fetchall()]


def note_removal(
    connection: duckdb.DuckDBPyConnection, table: str, count: int, cause: str = "erasure"
) -> None:
    """Note in the ledger how many rows were taken from a table, and why."""
    connection.execute(
        "insert into ledger.removals values (cast(now() at time zone 'UTC' as timestamp), ?, ?, ?)",
        [cause, table, count],
    )
