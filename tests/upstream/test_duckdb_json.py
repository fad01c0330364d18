"""JSON: why lines are read in Python, and what the loader lets DuckDB do with them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import duckdb
import pytest


@pytest.fixture
def connection():
    with duckdb.connect() as opened:
        yield opened


def read(
    connection: duckdb.DuckDBPyConnection, path: Path, lines: str, columns: str, options: str = ""
) -> list[tuple[object, ...]]:
    path.write_text(lines)
    return connection.execute(
        f"from read_json(?, format = 'newline_delimited', columns = {columns}{options})",
        [str(path)],
    ).fetchall()


def test_read_json_rounds_a_fraction_into_an_integer_column(connection, tmp_path):
    """Why a line is validated by the class that captured it before DuckDB sees it."""
    assert read(connection, tmp_path / "a.jsonl", '{"n": 3.7}', "{n: 'BIGINT'}") == [(4,)]


def test_read_json_drops_the_offset_of_a_timestamp(connection, tmp_path):
    """Why times are turned to UTC by the hooks: the column's type alone does not do it."""
    line = '{"moment": "2026-03-08T02:30:00+05:30"}'
    assert read(connection, tmp_path / "a.jsonl", line, "{moment: 'TIMESTAMP'}") == [
        (datetime(2026, 3, 8, 2, 30),)
    ]


def test_ignore_errors_makes_a_row_of_nulls_of_a_torn_line(connection, tmp_path):
    """Why a bad line goes to quarantine in Python: DuckDB would load it as an empty event."""
    lines = '{"a": 1, "b": 2}\n{"a": 3, "b'
    columns = "{a: 'INT', b: 'INT'}"
    assert read(connection, tmp_path / "a.jsonl", lines, columns, ", ignore_errors = true") == [
        (1, 2),
        (None, None),
    ]
    with pytest.raises(duckdb.InvalidInputException):
        read(connection, tmp_path / "a.jsonl", lines, columns)


def test_a_bound_file_name_is_still_a_pattern(connection, tmp_path):
    """Why segments are opened in Python and rows reach DuckDB as a bound text."""
    (tmp_path / "a1.jsonl").write_text('{"n": 1}')
    assert read(connection, tmp_path / "a[1].jsonl", '{"n": 2}', "{n: 'INT'}") == [(1,)]


def strict(
    connection: duckdb.DuckDBPyConnection, rows: list[str], shape: dict[str, object]
) -> list[tuple[object, ...]]:
    """Read rows as the loader does."""
    return connection.execute(
        "select unnest(row) from (select unnest(from_json_strict($1, $2)) as row)",
        ["[" + ",".join(rows) + "]", json.dumps([shape])],
    ).fetchall()


def test_from_json_strict_types_one_text_of_many_rows(connection):
    """How a chunk of events becomes rows."""
    rows = [
        '{"i": 1, "at": "2026-03-08T02:30:00.123456Z", "l": ["x"], "m": {"k": 1}}',
        '{"i": null, "at": null, "l": null, "m": null}',
    ]
    shape = {"i": "INTEGER", "at": "TIMESTAMP", "l": ["VARCHAR"], "m": "JSON"}
    assert strict(connection, rows, shape) == [
        (1, datetime(2026, 3, 8, 2, 30, 0, 123456), ["x"], '{"k":1}'),
        (None, None, None, None),
    ]


def test_from_json_strict_refuses_a_missing_key_and_ignores_an_unknown_one(connection):
    """The loader writes out every field of an event, and columns and fields have one source."""
    shape = {"a": "INTEGER", "b": "INTEGER"}
    with pytest.raises(duckdb.InvalidInputException, match='does not have key "b"'):
        strict(connection, ['{"a": 1}'], shape)
    assert strict(connection, ['{"a": 1, "b": 2, "c": 3}'], shape) == [(1, 2)]


def test_from_json_strict_keeps_doubles_and_identifiers_as_they_are(connection):
    """Values must come back from staging equal to what was captured."""
    numbers = [0.1, 1e-300, 1.7976931348623157e308, 123456789.123456789]
    rows = [json.dumps({"d": number}) for number in numbers]
    assert [row[0] for row in strict(connection, rows, {"d": "DOUBLE"})] == numbers
    identity = "018f4a3e-7b1c-7c3d-8e9f-0123456789ab"
    ((found,),) = strict(connection, [json.dumps({"u": identity})], {"u": "UUID"})
    assert str(found) == identity


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param('"x"', "INTEGER", id="text-into-a-number"),
        pytest.param("3000000000", "INTEGER", id="too-big"),
        pytest.param('"no time"', "TIMESTAMP", id="no-time"),
        pytest.param('"no-uuid"', "UUID", id="no-uuid"),
    ],
)
def test_from_json_strict_refuses_the_whole_text_for_one_value(connection, value, kind):
    """The loader finds the refused rows by halving, and catches these two classes of error."""
    with pytest.raises((duckdb.DataError, duckdb.ProgrammingError)):
        strict(connection, ['{"v": null}', f'{{"v": {value}}}'], {"v": kind})


def test_a_text_of_the_loader_is_no_name_of_a_file(connection):
    """A bound text cannot make DuckDB open anything, whatever a host put into it."""
    rows = ['{"s": "/etc/*.conf"}', '{"s": "\' || (select 1) || \'"}']
    assert strict(connection, rows, {"s": "VARCHAR"}) == [
        ("/etc/*.conf",),
        ("' || (select 1) || '",),
    ]
