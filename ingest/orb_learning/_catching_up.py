"""Bringing a copy of the last publication's database up to date, instead of filling an empty one.

The copy gets what is new since that publication was made: of the large tables the rows of changed
keys, of the small ones everything if anything differs. The result is compared with the warehouse
before it is published.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._copying import ALIAS, attached, count_rows, tables_of
from orb_learning._database import literal
from orb_learning.errors import OrbLearningError

if TYPE_CHECKING:
    import duckdb

MAX_GROWTH = 1.5
"""How much larger than a fresh copy a database may become before one is made instead."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table whose rows change by key.

    Attributes:
        key: the expression over its columns that names the key.
        changed: the query for the keys that anything new is known of since the load `$1`; of more
            keys than that no harm is done.
        oldest: the query for the oldest load that a row of such a key can be of.
        order: the columns its rows are sorted by, for readers of a part.
    """

    key: str
    changed: str
    oldest: str
    order: str


_NEW_OF_TASKS = "from {intermediate}.int_attempts where load_id > $1"
_CHANGED_TASKS = f"select task_id {_NEW_OF_TASKS}"
_OLDEST_OF_TASKS = f"select coalesce(min(first_load_id), 0) {_NEW_OF_TASKS}"

KEYED = {
    "executions": Keyed(
        "coalesce(parent_task_id, task_id)", _CHANGED_TASKS, _OLDEST_OF_TASKS, "timestamp"
    ),
    "tasks": Keyed("task_id", _CHANGED_TASKS, _OLDEST_OF_TASKS, "first_routed_at"),
    "feedback": Keyed(
        "feedback_id",
        "select feedback_id from staging.raw.feedback where load_id > $1",
        "select 0 * $1",
        "timestamp",
    ),
}
"""The tables that grow with the history; each has the column `load_id`."""


class UnfitError(OrbLearningError):
    """This database cannot be brought up to date; a fresh copy takes its place."""


def lineage(warehouse: duckdb.DuckDBPyConnection, schema: str) -> dict[str, str]:
    """Return for each large table a token that stays as long as it is only ever changed by key.

    It is the table's comment: a table that was built from scratch has none, and gets a new one.
    """
    tokens = {}
    for table, comment in warehouse.execute(
        "select table_name, comment from duckdb_tables()"
        " where database_name = current_database() and schema_name = ? and table_name in ?",
        [schema, list(KEYED)],
    ).fetchall():
        is_ours = (comment or "").startswith("built ")
        tokens[table] = comment if is_ours else f"built {secrets.token_hex(8)}"
        if not is_ours:
            warehouse.execute(f'comment on table "{schema}"."{table}" is {literal(tokens[table])}')
    return tokens


def clone(source: Path, target: Path) -> None:
    """Copy a file; a file system that can makes both share what neither changes.

    Nothing is ever written into a file that readers had: their lock on it is gone as soon as their
    process closes the file anywhere else.
    """
    try:
        with source.open("rb") as old, target.open("xb") as new:
            while os.copy_file_range(old.fileno(), new.fileno(), 2**30):
                pass
    except (AttributeError, OSError):  # not on this system, or not between these files
        shutil.copyfile(source, target)


def catch_up(
    warehouse: duckdb.DuckDBPyConnection, path: Path, schema: str, since: int
) -> dict[str, int]:
    """Make a database that was published hold what the warehouse holds.

    Args:
        warehouse: a connection to the warehouse with staging attached.
        path: the database, which nobody else opens.
        schema: whose tables are published.
        since: the newest load that the database reflects.

    Returns:
        the rows of each table.

    Raises:
        UnfitError: it has other tables, columns or indexes, or differs afterwards.
        duckdb.Error: it cannot be read.
    """
    with attached(warehouse, path):
        if _shape(warehouse, "current_database()", schema) != _shape(
            warehouse, f"'{ALIAS}'", "main"
        ):
            raise UnfitError("its tables have other columns or indexes")
        warehouse.execute("begin")
        try:
            for table in tables_of(warehouse, schema):
                if table in KEYED:
                    _replace_changed(warehouse, schema, table, since)
                elif not is_equal(warehouse, schema, table):
                    warehouse.execute(f'delete from {ALIAS}.main."{table}"')
                    warehouse.execute(
                        f'insert into {ALIAS}.main."{table}" from "{schema}"."{table}"'
                    )
            warehouse.execute("commit")
        except BaseException:
            warehouse.execute("rollback")
            raise
        rows = {}
        for table in tables_of(warehouse, schema):
            if not is_equal(warehouse, schema, table, since):
                raise UnfitError(f"its table {table} differs from the warehouse's")
            rows[table] = count_rows(warehouse, schema, table)
        return rows


def is_equal(warehouse: duckdb.DuckDBPyConnection, schema: str, table: str, since: int = 0) -> bool:
    """Tell whether both databases have the same rows: of a large table, the same versions of them.

    A version is a key and the load that brought it; the columns follow from these. Keys lie in no
    order and take most of the time to read, so of a large table they are compared for the loads
    after `since` alone. Rows of older ones were compared or copied when `since` was published, and
    can only have gone: how many each load left is compared.
    """
    ours, theirs = (
        _digest(table, name, since) for name in (f'"{schema}"."{table}"', f'{ALIAS}.main."{table}"')
    )
    ((here, there),) = warehouse.execute(f"select ({ours}), ({theirs})").fetchall()
    return bool(here == there)


def _digest(table: str, name: str, since: int) -> str:
    if table not in KEYED:
        return f"select {{'rows': count(*), 'hash': sum(hash(hash(held)))}} from {name} as held"
    return f"""
        select {{
            'loads': sum(hash(hash(load_id, rows))),
            'keys': (
                select sum(hash(hash({KEYED[table].key}, load_id)))
                from {name} where load_id > {since}
            )
        }}
        from (select load_id, count(*) as rows from {name} group by load_id)
        """


def is_current(warehouse: duckdb.DuckDBPyConnection, path: Path, schema: str) -> bool:
    """Tell whether a database of the newest load holds what the warehouse holds."""
    with attached(warehouse, path, read_only=True):
        return _shape(warehouse, "current_database()", schema) == _shape(
            warehouse, f"'{ALIAS}'", "main"
        ) and all(
            is_equal(warehouse, schema, table)
            for table in tables_of(warehouse, schema)
            if table not in KEYED
        )


def _replace_changed(
    warehouse: duckdb.DuckDBPyConnection, schema: str, table: str, since: int
) -> None:
    keyed = KEYED[table]
    ((intermediate,),) = warehouse.execute(
        "select coalesce(any_value(schema_name), '') from duckdb_tables()"
        " where database_name = current_database() and table_name = 'int_attempts'"
    ).fetchall()
    warehouse.execute("drop table if exists temp.changed_keys")
    warehouse.execute(
        "create temp table changed_keys as select distinct columns(*) as key from"
        f" ({keyed.changed.format(intermediate=intermediate)})",
        [since],
    )
    ((oldest,),) = warehouse.execute(
        keyed.oldest.format(intermediate=intermediate), [since]
    ).fetchall()
    # Zone maps of load_id spare most of both searches for keys, which lie in no order.
    is_changed = f"{keyed.key} in (select key from temp.changed_keys)"
    warehouse.execute(
        f'delete from {ALIAS}.main."{table}" where {is_changed} and load_id >= {oldest}'
    )
    warehouse.execute(
        f'insert into {ALIAS}.main."{table}" from "{schema}"."{table}"'
        f" where {is_changed} and load_id > {since} order by {keyed.order}"
    )


# What a publication has beside the warehouse's tables.
_OWN = "('execution_embeddings', 'embedded_contents')"


def _shape(
    warehouse: duckdb.DuckDBPyConnection, database: str, schema: str
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the columns of a database's tables, and its indexes."""
    columns = warehouse.execute(
        f"""
        select table_name, column_name, data_type
        from duckdb_columns()
        where database_name = {database} and schema_name = ? and not internal
            and table_name not in {_OWN}
            and table_name in (
                select table_name from duckdb_tables()
                where database_name = {database} and schema_name = ? and not temporary
            )
        order by table_name, column_index
        """,
        [schema, schema],
    ).fetchall()
    indexes = warehouse.execute(
        f"""
        select table_name, index_name, expressions
        from duckdb_indexes()
        where database_name = {database} and schema_name = ? order by all
        """,
        [schema],
    ).fetchall()
    return columns, indexes
