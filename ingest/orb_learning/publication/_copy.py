"""Copying the warehouse's tables, with their indexes, into a database of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orb_learning._database import literal

if TYPE_CHECKING:
    import duckdb

ALIAS = "publication"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The warehouse's tables that readers get: names in one schema."""

    schema: str
    tables: tuple[str, ...]


@contextmanager
def attached(
    warehouse: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool = False
) -> Iterator[None]:
    """Attach a publication's database beside the warehouse, as `publication`."""
    mode = " (read_only)" if read_only else ""
    warehouse.execute(f"attach {literal(path)} as {ALIAS}{mode}")
    try:
        yield
    finally:
        warehouse.execute(f"detach {ALIAS}")


def tables_of(warehouse: duckdb.DuckDBPyConnection, schema: str) -> tuple[str, ...]:
    """Return the names of a schema's tables, in their order."""
    return tuple(
        name
        for (name,) in warehouse.execute(
            "select table_name from duckdb_tables() where database_name = current_database()"
            " and schema_name = ? and not temporary order by table_name",
            [schema],
        ).fetchall()
    )


def count_rows(warehouse: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    """Return how many rows a table of the warehouse has."""
    ((rows,),) = warehouse.execute(f'select count(*) from "{schema}"."{table}"').fetchall()
    return int(rows)


def copy_tables(warehouse: duckdb.DuckDBPyConnection, path: Path, chosen: Chosen) -> dict[str, int]:
    """Copy tables into a database that has none of these names.

    Args:
        warehouse: a connection to the warehouse.
        path: the database, which is made if there is none.
        chosen: the tables.

    Returns:
        the rows that each table of the warehouse has.
    """
    indexes = warehouse.execute(
        "select sql from duckdb_indexes() where database_name = current_database()"
        " and schema_name = ? and table_name in ? order by index_name",
        [chosen.schema, list(chosen.tables)],
    ).fetchall()
    ((origin,),) = warehouse.execute("select current_database()").fetchall()
    rows = {}
    with attached(warehouse, path):
        for table in chosen.tables:
            # With its database, for a schema may be called as the copy is.
            source = f'"{origin}"."{chosen.schema}"."{table}"'
            if table == "tasks":
                _copy_tasks(warehouse, source)
            else:
                warehouse.execute(f'create table {ALIAS}.main."{table}" as from {source}')
            rows[table] = count_rows(warehouse, chosen.schema, table)
        warehouse.execute(f"use {ALIAS}.main")
        try:
            for (statement,) in indexes:
                warehouse.execute(statement)
        finally:
            warehouse.execute(f'use "{origin}"."{chosen.schema}"')
    return rows


def _copy_tasks(warehouse: duckdb.DuckDBPyConnection, source: str) -> None:
    """Copy the tasks in the order of their ids, which lets a look-up by id read few of them.

    DuckDB would pack the ordered ids to save a tenth of them, and unpacking a group of rows takes
    five times as long as reading it.
    """
    columns = ", ".join(
        f'"{name}" {kind}' + (" using compression uncompressed" if name == "task_id" else "")
        for name, kind, *_ in warehouse.execute(f"describe {source}").fetchall()
    )
    warehouse.execute(f"create table {ALIAS}.main.tasks ({columns})")
    warehouse.execute(f"insert into {ALIAS}.main.tasks from {source} order by task_id")
