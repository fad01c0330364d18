"""A read-only, locked connection: what whoever may send any query cannot do with it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

IS_2 = int(duckdb.__version__.partition(".")[0]) >= 2


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A connection made as `LearningDatabase` makes its own."""
    monkeypatch.chdir(tmp_path)
    Path("secret.csv").write_text("a,b\n1,2\n")
    with duckdb.connect("learning.db") as connection:
        connection.execute("create table t as select 1 as i")
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    connection.execute("attach 'learning.db' as learning (read_only)")
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set global temp_directory = ''")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    yield connection
    connection.close()


def test_it_reads_what_was_attached_before(locked):
    """Locking comes last, and cursors of the connection inherit all of it."""
    assert locked.cursor().execute("select i from learning.t").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "query",
    [
        "from read_text('secret.csv')",
        "from read_csv('secret.csv')",
        "from 'secret.csv'",
        "from sniff_csv('secret.csv')",
        "from glob('*')",
        "copy (select 1) to 'made.csv'",
        "attach 'made.db'",
        "export database 'made'",
        "install httpfs",
        "load httpfs",
        "create secret (type s3)",
    ],
)
def test_it_cannot_reach_a_file_or_an_extension(locked, query):
    """`LearningDatabase.query` takes any SELECT, and a function may hide in one."""
    with pytest.raises(duckdb.PermissionException, match=r"disabled (by|through) configuration"):
        locked.execute(query).fetchall()
    assert not list(Path().glob("made*"))


@pytest.mark.parametrize(
    "query",
    ["set threads = 1", "reset threads", "set global enable_external_access = true"],
)
def test_it_cannot_change_its_configuration(locked, query):
    """What is switched off stays off, and the memory limit stands."""
    with pytest.raises(duckdb.InvalidInputException, match="the configuration has been locked"):
        locked.execute(query)


@pytest.mark.parametrize(
    "query", ["insert into learning.t values (2)", "create table learning.u (i int)"]
)
def test_it_cannot_write_to_the_publication(locked, query):
    """A publication is never changed after the swap."""
    with pytest.raises(duckdb.InvalidInputException, match="read-only mode"):
        locked.execute(query)


@pytest.mark.parametrize("query", ["from frame", "select getenv('HOME')"])
def test_it_sees_neither_variables_of_python_nor_the_environment(locked, query):
    """A name in a query must not be looked up in the process that asks."""
    frame = duckdb.connect().sql("select 1")
    assert frame is not None
    with pytest.raises(duckdb.CatalogException, match="does not exist"):
        locked.execute(query)


@pytest.mark.parametrize("query", ["detach learning", "create temp table made as select 1"])
def test_what_only_the_kind_of_a_statement_keeps_out(locked, query):
    """Why `LearningDatabase.query` takes nothing but one SELECT: these are not refused here."""
    locked.execute(query)


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("select 1", ["SELECT"]),
        ("with a as (select 1) from a", ["SELECT"]),
        ("explain select 1", ["EXPLAIN"]),
        ("select 1; drop table t", ["SELECT", "DROP"]),
        ("create temp table t (i int)", ["CREATE"]),
        ("detach learning", ["DETACH"]),
        ("pragma version", ["PRAGMA" if IS_2 else "SELECT"]),
        ("pragma enable_profiling", ["PRAGMA"]),
        ("", []),
    ],
)
def test_statements_are_told_apart_before_they_run(sql, kinds):
    """How it is known that a text is one SELECT."""
    found = [str(statement.type).rpartition(".")[2] for statement in duckdb.extract_statements(sql)]
    assert found == kinds


def test_telling_statements_apart_must_be_left_to_the_locked_connection(locked):
    """1.5 opens the files of an IMPORT while it parses, with the rights of whoever parses.

    `duckdb.extract_statements` has all rights; the same method of a locked connection has none.
    """
    query = "import database 'nowhere'"
    if IS_2:
        (statement,) = duckdb.extract_statements(query)
        assert statement.type == duckdb.StatementType.PRAGMA
    else:
        with pytest.raises(duckdb.IOException, match="No such file"):
            duckdb.extract_statements(query)
        with pytest.raises(duckdb.PermissionException, match="disabled by configuration"):
            locked.extract_statements(query)
