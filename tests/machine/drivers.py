"""Two ways to run the models: dbt itself, and the statements that dbt was once seen to execute."""

from __future__ import annotations

import functools
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import duckdb

from orb_learning import warehouse
from orb_learning.errors import NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import current, publish
from orb_learning.refresh import Refresher
from orb_learning.upkeep import take_in
from warm_dbt import QUIETLY

from .strategies import NOW
from .tables import FEW, Tables, read

_DATE = re.compile(r"\bdate '(\d{4}-\d\d-\d\d)'")
_COMMENT = re.compile(r"\s*(?:/\*.*?\*/|--[^\n]*\n)\s*", re.DOTALL)
_NODE = re.compile(r'"node_id": "model\.orb_learning\.(\w+)"')
_CHANGES = ("alter", "create", "delete", "drop", "insert", "update")
_ASKED = re.compile(r" as (newest|oldest)_load from ")
"""What dbt asks for, and puts into the statements that follow as a number, 0 on an empty home."""


class Driver(Protocol):
    """Runs all models on one home."""

    home: Home

    def run(self, days: int = 0, *, publishes: bool = True, dies_at: int = 0) -> None:
        """Load, build everything as of some days after `NOW`, and publish.

        `dies_at` ends the process, as `kill -9` does, before the statement of that number.
        """

    def load(self) -> None:
        """Load the spool and nothing else."""

    def tables(self) -> Tables:
        """Return the compared columns of what the last run built."""


class Dbt:
    """Runs dbt in this process."""

    def __init__(self, root: Path, parsed: Refresher | None = None) -> None:
        self.refresher = Refresher(root, Path(__file__).parents[2])
        self.home = self.refresher.home
        if parsed is not None:
            self.refresher._manifest = parsed._manifest

    def run(self, days: int = 0, *, publishes: bool = True, dies_at: int = 0) -> None:
        as_of = (NOW + timedelta(days=days)).date()
        text = f"{{as_of: '{as_of}', publish_past: true, {FEW}}}"
        watch = _watched(_death(dies_at)) if dies_at else _watched(lambda _, __: None)
        with watch, copied_when_grown():
            self.refresher.invoke(["run", "--vars", text, *QUIETLY])

    def load(self) -> None:
        take_in(self.home)

    def tables(self) -> Tables:
        return published(self.home)


@contextmanager
def copied_when_grown() -> Iterator[None]:
    """A warehouse is copied whenever it has grown at all, instead of when it pays."""
    bounds = {"SMALL": 0, "GROWTH": 1.0, "REST": 0}
    with patch.multiple(warehouse, **bounds):
        yield


@functools.cache
def _engine(process: int) -> duckdb.DuckDBPyConnection:
    """One DuckDB a process: to make one takes longer than to attach a small file."""
    return duckdb.connect(config={"threads": 1})


@contextmanager
def attached(**files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with databases attached, by name; the first is its own, to be written.

    `staging`, and a name that begins with `read_`, is read only.
    """
    cursor = _engine(os.getpid()).cursor()
    names = list(files)
    try:
        for name, path in files.items():
            mode = " (read_only)" if name == "staging" or name.startswith("read_") else ""
            cursor.execute(f"attach '{path}' as {name}{mode}")
        cursor.execute(f"use {names[0]}")
        yield cursor
    finally:
        cursor.execute("use memory")
        for name in names:
            cursor.execute(f"detach database if exists {name}")
        cursor.close()


def published(home: Home) -> Tables:
    """Read what readers get."""
    with attached(read_publication=home.current.resolve() / "learning.db") as connection:
        return read(connection)


def publication_id(home: Home) -> str:
    """Return the id of the publication in force, or an empty text."""
    try:
        return current(home).id
    except NotPublishedError:
        return ""


Statements = dict[str, list[str]]
"""The statements that change anything, or decide what changes, by model, in a run's order."""


@dataclass
class Recorded:
    """What dbt executes for each model where its relation is missing, and where it exists."""

    first: Statements
    later: Statements
    schemas: list[str] = field(default_factory=list)


def record(root: Path, parsed: Refresher) -> Recorded:
    """Run dbt twice on an empty home and keep what it executed."""
    dbt = Dbt(root, parsed)
    runs = []
    for _ in range(2):
        seen = _Seen()
        with _watched(seen.note):
            dbt.run()
        runs.append(_by_model(seen.statements))
    schemas = sorted({sql for sql in runs[0].pop("", []) if sql.startswith("create schema")})
    runs[1].pop("", None)
    return Recorded(runs[0], runs[1], schemas)


class _Seen:
    """Statements in their order, each with the cursor that executed it."""

    def __init__(self) -> None:
        self.statements: list[tuple[int, str]] = []

    def note(self, cursor: int, sql: str) -> None:
        self.statements.append((cursor, sql))


def _by_model(seen: list[tuple[int, str]]) -> Statements:
    """Sort statements by model, without transactions that were never committed."""
    kept: Statements = {}
    open_transactions: dict[int, list[str]] = {}
    for cursor, sql in seen:
        text = sql
        while found := _COMMENT.match(text):
            text = text[found.end() :]
        text = text.strip()
        verb = text.partition(" ")[0].lower().rstrip(";")
        if verb == "begin":
            open_transactions[cursor] = []
        elif verb == "commit":
            done = open_transactions.pop(cursor, [])
            if done:
                kept.setdefault(_model_of(done[0]), []).extend(
                    ["begin", *map(_without_comment, done), "commit"]
                )
        elif verb not in _CHANGES and not _ASKED.search(text):
            continue
        elif cursor in open_transactions:
            open_transactions[cursor].append(sql)
        else:
            kept.setdefault(_model_of(sql), []).append(_without_comment(sql))
    return kept


def _model_of(sql: str) -> str:
    found = _NODE.search(sql)
    return found[1] if found else ""


def _without_comment(sql: str) -> str:
    return re.sub(r"^\s*/\*.*?\*/\s*", "", sql, count=1, flags=re.DOTALL)


@contextmanager
def _watched(call: Callable[[int, str], None]) -> Iterator[None]:
    """Call with each statement that dbt is about to execute and the cursor that it uses."""
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    original = DuckDBCursorWrapper.execute

    def execute(self: Any, sql: str, bindings: Any = None) -> Any:
        call(id(self), sql)
        return original(self, sql, bindings)

    DuckDBCursorWrapper.execute = execute
    try:
        yield
    finally:
        DuckDBCursorWrapper.execute = original


def _death(number: int) -> Callable[[int, str], None]:
    left = number

    def count(_: int, __: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


class Compiled:
    """Executes the recorded statements, for each model those that fit what there is of it."""

    def __init__(self, root: Path, recorded: Recorded) -> None:
        self.home = Home(root)
        self._recorded = recorded
        self._built: Tables = {}

    def run(self, days: int = 0, *, publishes: bool = True, dies_at: int = 0) -> None:
        self.load()
        count = _death(dies_at)
        with attached(warehouse=self.home.warehouse, staging=self.home.staging) as connection:
            loads = {"newest": 0, "oldest": 0}
            for statement in self._statements(connection):
                count(0, statement)
                text = _DATE.sub(lambda found: _moved(found[1], days), statement)
                done = connection.execute(_of_loads(text, **loads))
                if asked := _ASKED.search(statement):
                    ((loads[asked[1]],),) = done.fetchall()
            if publishes:
                as_of = NOW + timedelta(days=days)
                publish(connection, self.home, schema="main", as_of=as_of.isoformat())
            else:
                self._built = read(connection)
        if publishes:
            self._built = {}

    def load(self) -> None:
        take_in(self.home)

    def tables(self) -> Tables:
        return self._built or published(self.home)

    def _statements(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        yield from self._recorded.schemas
        present = {
            name: (kind, schema)
            for name, kind, schema in connection.execute(
                "select table_name, 'table', schema_name from duckdb_tables()"
                " where database_name = 'warehouse' union all"
                " select view_name, 'view', schema_name from duckdb_views()"
                " where database_name = 'warehouse' and not internal"
            ).fetchall()
        }
        for name, (kind, schema) in present.items():
            if name.endswith(("__dbt_backup", "__dbt_tmp")):  # left by a run that was killed
                yield f"drop {kind} {schema}.{name}"
        for model, statements in self._recorded.first.items():
            if model not in present:
                yield from statements
            elif present[model][0] == "table":  # a view would be replaced by itself
                yield from self._recorded.later[model]


def _of_loads(sql: str, newest: int, oldest: int) -> str:
    if "load_id > 0" in sql:
        sql = sql.replace("load_id > 0", f"load_id > {newest}")
        sql = sql.replace("(first_load_id), 0)", f"(first_load_id), {newest})")
    return sql.replace("load_id >= 0", f"load_id >= {oldest}")


def _moved(date: str, days: int) -> str:
    from datetime import date as day

    return f"date '{day.fromisoformat(date) + timedelta(days=days)}'"
