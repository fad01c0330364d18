"""Bringing a copy of the last publication's database up to date, instead of filling an empty one.

The copy gets what is new since that publication was made: of the large tables the rows of changed
keys, of the small ones everything if anything differs. The result is compared with the warehouse
before it is published.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import literal, transaction
from orb_learning.errors import OrbLearningError
from orb_learning.publication._copy import ALIAS, Chosen, attached, count_rows

if TYPE_CHECKING:
    import duckdb

MAX_GROWTH = 1.5
"""How much larger than a fresh copy a database may become before one is made instead."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A table that grows with the history and whose rows change by key; it has a `load_id`.

    A model says it in its `config.meta.published`.

    Attributes:
        key: the expression over its columns that names the key.
        order: the columns its rows are sorted by, for readers of a part.
        source: the relation whose rows of newer loads say which keys changed.
        source_key: the key's column there; of more keys than changed no harm is done.
        oldest: the column there of the oldest load that a row of such a key can be of; without it
            all are looked through.
    """

    key: str
    order: str
    source: str
    source_key: str
    oldest: str | None = None


class CannotUpdateError(OrbLearningError):
    """This database cannot be brought up to date; a fresh copy takes its place."""


def lineage(
    warehouse: duckdb.DuckDBPyConnection, schema: str, keyed: Mapping[str, Keyed]
) -> dict[str, str]:
    """Return for each large table a token that stays as long as it is only ever changed by key.

    It is the table's comment: a table that was built from scratch has none, and gets a new one.
    """
    tokens = {}
    for table, comment in warehouse.execute(
        "select table_name, comment from duckdb_tables()"
        " where database_name = current_database() and schema_name = ? and table_name in ?",
        [schema, list(keyed)],
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


def update(
    warehouse: duckdb.DuckDBPyConnection,
    path: Path,
    chosen: Chosen,
    *,
    since: int,
    keyed: Mapping[str, Keyed],
    own_tables: frozenset[str] = frozenset(),
) -> dict[str, int]:
    """Make a database that was published hold what the warehouse holds.

    Args:
        warehouse: a connection to the warehouse with staging attached.
        path: the database, which nobody else opens.
        chosen: the tables that are published.
        since: the newest load that the database reflects.
        keyed: the tables of which only rows of changed keys are replaced.
        own_tables: those of the database that the warehouse has not.

    Returns:
        the rows of each table.

    Raises:
        CannotUpdateError: it has other tables, columns or indexes, or differs afterwards.
        duckdb.Error: it cannot be read.
    """
    schema = chosen.schema
    with attached(warehouse, path):
        if not _have_one_shape(warehouse, chosen, own_tables):
            raise CannotUpdateError("its tables have other columns or indexes")
        with transaction(warehouse):
            for table in chosen.tables:
                if table in keyed:
                    _replace_changed(warehouse, schema, table, since, keyed[table])
                elif not _is_equal(warehouse, schema, table):
                    warehouse.execute(f'delete from {ALIAS}.main."{table}"')
                    warehouse.execute(
                        f'insert into {ALIAS}.main."{table}" from "{schema}"."{table}"'
                    )
        rows = {}
        for table in chosen.tables:
            if not _is_equal(warehouse, schema, table, keyed.get(table), since):
                raise CannotUpdateError(f"its table {table} differs from the warehouse's")
            rows[table] = count_rows(warehouse, schema, table)
        return rows


def _is_equal(
    warehouse: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    keyed: Keyed | None = None,
    since: int = 0,
) -> bool:
    """Tell whether both databases have the same rows: of a large table, the same versions of them.

    A version is a key and the load that brought it; the columns follow from these. Keys lie in no
    order and take most of the time to read, so of a large table they are compared for the loads
    after `since` alone. Rows of older ones were compared or copied when `since` was published, and
    can only have gone: how many each load left is compared.
    """
    ours, theirs = (
        _digest(name, keyed, since) for name in (f'"{schema}"."{table}"', f'{ALIAS}.main."{table}"')
    )
    ((here, there),) = warehouse.execute(f"select ({ours}), ({theirs})").fetchall()
    return bool(here == there)


def _digest(name: str, keyed: Keyed | None, since: int) -> str:
    if keyed is None:
        return f"select {{'rows': count(*), 'hash': sum(hash(hash(held)))}} from {name} as held"
    return f"""
        select {{
            'loads': sum(hash(hash(load_id, rows))),
            'keys': (
                select sum(hash(hash({keyed.key}, load_id))) from {name} where load_id > {since}
            )
        }}
        from (select load_id, count(*) as rows from {name} group by load_id)
        """


def is_current(
    warehouse: duckdb.DuckDBPyConnection,
    path: Path,
    chosen: Chosen,
    keyed: Mapping[str, Keyed],
    own_tables: frozenset[str] = frozenset(),
) -> bool:
    """Tell whether a database of the newest load holds what the warehouse holds."""
    with attached(warehouse, path, read_only=True):
        return _have_one_shape(warehouse, chosen, own_tables) and all(
            _is_equal(warehouse, chosen.schema, table)
            for table in chosen.tables
            if table not in keyed
        )


def _replace_changed(
    warehouse: duckdb.DuckDBPyConnection, schema: str, table: str, since: int, keyed: Keyed
) -> None:
    changed = f"from {keyed.source} where load_id > {since}"
    warehouse.execute(
        "create or replace temp table changed_keys as"
        f" select distinct {keyed.source_key} as key {changed}"
    )
    oldest = 0
    if keyed.oldest:
        ((oldest,),) = warehouse.execute(
            f"select coalesce(min({keyed.oldest}), 0) {changed}"
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


def _have_one_shape(
    warehouse: duckdb.DuckDBPyConnection, chosen: Chosen, own_tables: frozenset[str]
) -> bool:
    names = {*chosen.tables} - own_tables
    ours = _shape(warehouse, "current_database()", chosen.schema, "in", names)
    return ours == _shape(warehouse, f"'{ALIAS}'", "main", "not in", own_tables)


def _shape(
    warehouse: duckdb.DuckDBPyConnection,
    database: str,
    schema: str,
    comparison: str,
    names: Collection[str],
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the columns of a database's tables that are `in` or `not in` names, and indexes."""
    columns = warehouse.execute(
        f"""
        select table_name, column_name, data_type
        from duckdb_columns()
        where database_name = {database} and schema_name = $1 and not internal
            and table_name {comparison} (select unnest($2))
            and table_name in (
                select table_name from duckdb_tables()
                where database_name = {database} and schema_name = $1 and not temporary
            )
        order by table_name, column_index
        """,
        [schema, sorted(names)],
    ).fetchall()
    indexes = warehouse.execute(
        f"""
        select table_name, index_name, expressions
        from duckdb_indexes()
        where database_name = {database} and schema_name = $1
            and table_name {comparison} (select unnest($2))
        order by all
        """,
        [schema, sorted(names)],
    ).fetchall()
    return columns, indexes
