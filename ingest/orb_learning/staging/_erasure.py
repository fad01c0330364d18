"""Erasing a task or a user from what a load brings, within the load's transaction.

A tombstone names its subject by the hash of the id. The load that brings it deletes the raw rows,
and so does every later load with what arrives late. What lies outside of the raw tables is taken
out afterwards (`orb_learning.upkeep`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._types import subject_hash
from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES
from orb_learning.staging._batch import Refusal
from orb_learning.staging._subjects import Named, has_imported_id, named_by_refused

if TYPE_CHECKING:
    import duckdb

Erased = frozenset[tuple[str, str]]
"""Subjects, `task` or `user`, each with the hash of its id."""


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


def must_apply(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an erasure has left traces outside of the raw tables."""
    return bool(
        connection.execute("select 1 from ledger.erasures where not is_applied limit 1").fetchone()
    )


def note_late_lines(connection: duckdb.DuckDBPyConnection, refusals: Sequence[Refusal]) -> None:
    """Mark erasures as not applied whose subjects are named in lines for quarantine."""
    erased = erased_subjects(connection)
    if erased and any(
        is_refused_about(
            refusal.quarantine_id, refusal.claimed_type, refusal.stored, refusal.reason, erased
        )
        for refusal in refusals
    ):
        connection.execute("update ledger.erasures set is_applied = false")


def is_refused_about(
    identity: UUID, claimed_type: str | None, line: bytes, reason: str, erased: Erased
) -> bool:
    """Tell whether a line in quarantine is about an erased subject."""
    is_imported = claimed_type is not None and has_imported_id(identity)
    return has_one_of(named_by_refused(line, is_imported=is_imported), erased) or has_one_of(
        named_by_refused(reason.encode("utf-8", "replace")), erased
    )


def has_one_of(named: Iterable[Named], erased: Erased) -> bool:
    """Tell whether an erased subject is among those named."""
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
            note_removal(connection, f"raw.{kind}", count)
            connection.execute(f"update ledger.erasures set is_applied = false where {erasures}")


def _scalar(key: str) -> str:
    """Return the SQL of a value in the metadata that is one value and no container of some."""
    path = f"metadata, '$.{key}'"
    is_one = f"json_type({path}) not in ('ARRAY', 'OBJECT')"
    return f"case when {is_one} then json_extract_string({path}) end"


def note_removal(connection: duckdb.DuckDBPyConnection, table: str, count: int) -> None:
    """Note in the ledger how many rows an erasure took from a table."""
    connection.execute(
        "insert into ledger.removals values"
        " (cast(now() at time zone 'UTC' as timestamp), 'erasure', ?, ?)",
        [table, count],
    )
