"""SQL: keys and indexes, vectors, times, sums, and transactions that fail."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

IS_2 = int(duckdb.__version__.partition(".")[0]) >= 2


@pytest.fixture
def connection():
    with duckdb.connect() as opened:
        yield opened


def value(connection: duckdb.DuckDBPyConnection, query: str) -> object:
    ((found,),) = connection.execute(query).fetchall()
    return found


def replace_a_key(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("begin; delete from t where i = 5; insert into t values (5); commit")
        assert value(connection, "select count(*) from t where i = 5") == 1


@pytest.mark.parametrize(
    "key",
    [
        "create index k on t (i)",
        "alter table t add primary key (i)",
        "create unique index k on t (i)",
    ],
    ids=["plain index", "primary key", "unique index"],
)
def test_a_key_can_be_deleted_and_inserted_in_one_transaction(tmp_path, key):
    """Why all indexes are plain: under a unique one 1.5 refuses it once the file was reopened."""
    path = tmp_path / "keys.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table t (i int); insert into t from range(10); {key}")
        connection.execute("begin; delete from t where i = 5; insert into t values (5); commit")
    if "unique" in key and not IS_2:
        with pytest.raises(duckdb.ConstraintException, match="Duplicate key"):
            replace_a_key(path)
    else:
        replace_a_key(path)


def test_an_index_of_many_columns_is_not_used_and_one_of_one_column_is(connection):
    """Why the named indexes can be switched off, and `executions` is kept in the order of time."""
    connection.execute("create table t as select range as a, range % 9 as b from range(100000)")
    connection.execute("create index ab on t (a, b)")
    assert "Sequential Scan" in analyzed(connection, "select * from t where a = 7 and b = 7")
    connection.execute("create index a on t (a)")
    assert "Index Scan" in analyzed(connection, "select * from t where a = 7")


def analyzed(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    return str(connection.execute(f"explain analyze {query}").fetchall()[0][1])


def test_an_upsert_adds_to_what_is_there(connection):
    """The ledger's row of a segment is written so."""
    connection.execute("create table t (s text primary key, n int); insert into t values ('a', 1)")
    for _ in range(2):
        connection.execute(
            "insert into t values ('a', 2) on conflict (s) do update set n = t.n + excluded.n"
        )
    assert connection.execute("from t").fetchall() == [("a", 5)]


def test_an_error_ends_the_transaction(connection):
    """Why the loader types its rows before it begins one."""
    connection.execute("create table t (i int); begin; insert into t values (1)")
    with pytest.raises(duckdb.InvalidInputException):
        connection.execute("select error('x')").fetchall()
    with pytest.raises(duckdb.TransactionException, match="aborted"):
        connection.execute("select 1")
    connection.execute("rollback")
    assert value(connection, "select count(*) from t") == 0


def test_definitions_are_part_of_a_transaction(connection):
    """A migration's step and its row in the ledger are there together or not at all."""
    connection.execute("begin; create schema raw; create table raw.t (i int); rollback")
    assert value(connection, "select count(*) from duckdb_tables()") == 0


def test_a_vector_of_384_floats_is_no_key(connection):
    """Vectors are found by the hash of their content."""
    connection.execute("create table t (e float[384])")
    with pytest.raises(duckdb.InvalidTypeException, match="Invalid type for index key"):
        connection.execute("create index e on t (e)")


def test_a_vector_of_another_length_is_refused(connection):
    """One wrong vector fails its whole statement, so vectors are checked before."""
    with pytest.raises(duckdb.ConversionException, match="length 3 to array with length 2"):
        connection.execute("select [1, 2, 3]::float[2]")


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ("[1, null]", "error"),
        ("['nan'::float, 1]", "nan" if IS_2 else "-1.0"),
        ("[0, 0]", "nan" if IS_2 else "-1.0"),
        ("[2, 0]", "1.0"),
    ],
)
def test_a_cosine_with_a_null_a_nan_or_nothing_in_a_vector(connection, vector, expected):
    """Why vectors are normalised and checked first; what 2.0 calls NaN is -1 on 1.5."""
    query = f"select array_cosine_similarity({vector}::float[2], [1, 0]::float[2])"
    if expected == "error":
        with pytest.raises(duckdb.InvalidInputException, match="can not contain NULL"):
            connection.execute(query).fetchall()
    else:
        assert str(value(connection, query)) == expected


def test_nan_is_above_every_number(connection):
    """A search that met a NaN would put it first."""
    assert value(connection, "select 'nan'::float > 'infinity'::float") is True


def test_only_a_timestamp_without_zone_is_the_same_in_every_session(connection):
    """Why SQL works on TIMESTAMPs in UTC."""
    connection.execute("set TimeZone = 'Asia/Kolkata'")
    text = "'2026-03-07T23:00:00Z'"
    assert value(connection, f"select {text}::timestamp") == datetime(2026, 3, 7, 23)
    assert value(connection, f"select {text}::timestamptz::timestamp") == datetime(
        2026, 3, 8, 4, 30
    )


def test_sums_of_doubles_depend_on_the_order_of_rows_and_of_decimals_do_not(connection):
    """Why sums and means of the marts go through DECIMAL."""
    source = "(select 1.0 / (range + 1)::double as v from range(10000))"
    for kind, is_equal in (("double", False), ("decimal(28, 9)", True)):
        up, down = (f"sum(v::{kind} order by v {order})" for order in ("asc", "desc"))
        assert value(connection, f"select {up} = {down} from {source}") is is_equal


def test_md5_spells_a_uuid_as_python_does(connection):
    """The task_id of a retry is the same in DuckDB, Spark and Python."""
    assert str(value(connection, "select cast(md5('a') as uuid)")) == (
        "0cc175b9-c0f1-b6a8-31c3-99e269772661"
    )


def test_hash_gives_the_same_number_in_every_version(connection):
    """Marts keep fingerprints made of it: another number only rebuilds every day once."""
    assert value(connection, "select hash(hash('a', 1, null))") == 2611255415500993089


def test_a_zero_byte_in_a_literal(connection):
    """Why `_database.literal` spells it by its number, which both versions take."""
    if IS_2:
        assert value(connection, "select 'a\0b'") == "a\0b"
    else:
        with pytest.raises(duckdb.ParserException, match="unterminated"):
            connection.execute("select 'a\0b'")
    assert value(connection, "select 'a' || chr(0) || 'b'") == "a\0b"


def test_rowids_of_a_table_that_was_written_once_count_from_zero(connection):
    """A publication's `newest_rows` are rowids of its `executions`."""
    connection.execute("create table t as from range(300000)")
    assert value(connection, "select count(*) from t where rowid <> range") == 0


def test_a_running_query_is_interrupted_from_another_thread(connection):
    """How `LearningDatabase` keeps its time limit."""
    cursor = connection.cursor()
    timer = threading.Timer(0.2, cursor.interrupt)
    timer.start()
    try:
        with pytest.raises(duckdb.InterruptException):
            cursor.execute("select count(*) from range(1e9::bigint) a, range(100) b").fetchall()
    finally:
        timer.cancel()
        timer.join()
