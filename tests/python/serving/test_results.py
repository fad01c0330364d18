"""How large an answer may be, in every form, and what is said of one that fails on its way."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from orb_learning.errors import InvalidQueryError, QueryTimeoutError, ResultTooLargeError
from orb_learning.serving import _results as results
from orb_learning.serving._results import Cap

WIDE = Cap(10**9, 10**12)
READERS = [
    results.fetch,
    results._arrow,
    pytest.param(
        results._frame,
        marks=pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed"),
    ),
]

ENDLESS = "from range(1000000000000)"
LARGE = [
    "select repeat('x', 1000) from range(100000000)",
    "select repeat('é', 1000) from range(100000000)",
    "select encode(repeat('x', 1000)) from range(100000000)",
    "select range(100) from range(100000000)",
    "select {'a': [{'b': repeat('x', 1000)}]} from range(100000000)",
    "select map {repeat('x', 1000): 1} from range(100000000)",
    "select union_value(a := repeat('x', 1000)) from range(100000000)",
    "select [union_value(a := 1), repeat('x', 999)::union(a int, b varchar)] from range(100000000)",
    "select case when range > 5000 then repeat('x', 1000) end from range(100000000)",
    f"select {', '.join(f'range as n{n}' for n in range(1000))} from range(100000000)",
]  # fmt: skip


def read(sql: str, reader: results.Reader[Any], cap: Cap) -> Any:
    with duckdb.connect() as connection:
        return reader(connection.execute(sql), cap)


@pytest.mark.parametrize("reader", READERS)
def test_a_result_with_too_many_rows_is_refused_and_never_cut(reader):
    assert len(read("from range(5000)", reader, Cap(5000, 10**9))) == 5000
    with pytest.raises(ResultTooLargeError, match=r"more than 4,999 rows; .*or raise max_rows"):
        read("from range(5000)", reader, Cap(4999, 10**9))


def test_a_result_may_have_just_as_many_rows_and_bytes_as_it_may():
    parts = [[1, 2], [3]]

    def size(part: list[int]) -> int:
        return 10 * len(part)

    assert list(Cap(3, 30).checked(parts, size)) == parts
    with pytest.raises(ResultTooLargeError, match="more than 29 bytes"):
        list(Cap(3, 29).checked(parts, size))
    with pytest.raises(ResultTooLargeError, match="more than 2 rows"):
        list(Cap(2, 30).checked(parts, size))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sql", LARGE)
def test_a_result_that_takes_too_much_is_refused_whatever_is_in_it(reader, sql):
    with pytest.raises(ResultTooLargeError, match=r"more than 5,000,000 bytes; .*raise max_bytes"):
        read(sql, reader, Cap(10**9, 5_000_000))


@pytest.mark.parametrize("reader", READERS)
def test_a_result_is_refused_before_the_rest_of_it_is_made(reader):
    with pytest.raises(ResultTooLargeError):
        read(ENDLESS, reader, Cap(100_000, 10**12))


@pytest.mark.parametrize(
    ("sql", "least", "most"),
    [
        ("from range(1000)", 30_000, 60_000),
        ("select repeat('x', 1000) from range(1000)", 1_000_000, 1_100_000),
        ("select if(range % 2 = 0, repeat('é', 500), null) from range(1000)", 250_000, 350_000),
        ("select range(100) from range(1000)", 3_000_000, 5_000_000),
    ],
)  # fmt: skip
def test_what_rows_take_is_about_what_python_holds(sql, least, most):
    assert read(sql, results.fetch, Cap(10**9, most))
    with pytest.raises(ResultTooLargeError):
        read(sql, results.fetch, Cap(10**9, least))


def test_the_cap_is_the_readers_own(asked):
    assert len(asked("from range(50)", max_rows=50).rows) == 50
    with pytest.raises(ResultTooLargeError, match="more than 49 rows"):
        asked("from range(50)", max_rows=49)
    with pytest.raises(ResultTooLargeError, match="more than 1,000 bytes"):
        asked("select repeat('x', 1001)", max_bytes=1000)
    with pytest.raises(ResultTooLargeError, match="more than 1,000,000 rows"):
        asked(ENDLESS)


def test_other_forms_of_a_result_have_the_same_cap(asked):
    """The second run may give more than the first."""
    few = {"rows": 2}
    result = asked("from range($rows)", few, max_rows=9, max_bytes=50_000)
    assert len(result.to_arrow()) == 2
    few["rows"] = 10
    with pytest.raises(ResultTooLargeError, match="more than 9 rows"):
        result.to_arrow()


def test_rows_beyond_a_limit_are_never_made(asked):
    assert asked(ENDLESS, limit=3).rows == asked("from range(3)").rows
    assert len(asked("from range(5000)", limit=4999).rows) == 4999
    assert len(asked("from range(2)", limit=3).rows) == 2
    assert len(asked(ENDLESS, limit=70).to_arrow()) == 70
    with pytest.raises(ResultTooLargeError, match="more than 9 rows"):
        asked(ENDLESS, limit=10, max_rows=9)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(InvalidQueryError, match="limit: expected a whole number from 1 to"):
            asked("select 1", limit=wrong)


@pytest.mark.parametrize("reader", READERS)
def test_a_result_without_rows_has_its_columns(reader):
    empty = read("select 1 as a, 'x' as b where false", reader, Cap(1, 1))
    assert len(empty) == 0
    names = getattr(empty, "column_names", None) or list(getattr(empty, "columns", ["a", "b"]))
    assert names == ["a", "b"]


LATE = "select cast(case when range = 50000 then 'x' else '1' end as int) as n from range(100000)"


def test_an_error_on_the_way_is_ours_in_every_form(asked):
    with pytest.raises(InvalidQueryError, match="Conversion Error"):
        asked(LATE)
    limit = {"last": 10}
    result = asked(LATE.replace("100000", "$last"), limit)
    limit["last"] = 100_000
    with pytest.raises(InvalidQueryError, match="Conversion Error"):
        result.to_arrow()
    with pytest.raises(InvalidQueryError, match=r"no Arrow table can be made of it: .*VARIANT"):
        asked("select 1::variant").to_arrow()


def test_time_that_is_over_while_rows_are_taken_is_said_so(asked):
    """An interrupted fetch calls the query closed; Arrow calls it an OSError."""
    slow = "select n.range, (select count(*) from range($inner)) from range($rows) as n"
    how: dict[str, Any] = {"timeout_seconds": 0.3, "max_rows": 10**12, "max_bytes": 10**14}
    with pytest.raises(QueryTimeoutError, match=r"longer than 0\.3 s"):
        asked(slow, {"inner": 10, "rows": 10**9}, **how)
    params = {"inner": 10, "rows": 10}
    # The first answer has to be in time, also on a busy machine.
    result = asked(slow, params, **{**how, "timeout_seconds": 2})
    params["rows"] = 10**9
    with pytest.raises(QueryTimeoutError, match=r"longer than 2 s"):
        result.to_arrow()


def test_a_library_that_is_missing_is_named(asked, monkeypatch):
    result = asked("select 1")
    for name, form in (("pandas", result.to_df), ("pyarrow", result.to_arrow)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InvalidQueryError, match=f"{name} is not installed; run: pip install"):
            form()


def test_a_frame_has_the_readers_own_cap(asked, monkeypatch):
    result = asked("select 1", max_rows=19, max_bytes=999)
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace())
    monkeypatch.setattr(results, "_frame", lambda _, cap: cap)
    assert result.to_df() == Cap(19, 999)


class Column:
    """One of a data frame: numbers that know their size, or objects."""

    def __init__(self, values: list[Any], kind: type) -> None:
        self.values, self.dtype = values, kind

    def tolist(self) -> list[Any]:
        return self.values

    def memory_usage(self, index: bool, *, deep: bool) -> int:
        assert (index, deep) == (False, True)
        return 8 * len(self.values)


class Frame(dict[str, Column]):
    def __len__(self) -> int:
        return len(self["n"].values)

    def infer_objects(self) -> Frame:
        return self


def test_a_frame_is_measured_chunk_by_chunk(monkeypatch):
    """As pandas and DuckDB make them; where they are installed, the real ones are tried too."""

    def chunk(rows: int) -> Frame:
        array = SimpleNamespace(tolist=lambda: ["x" * 1000])
        return Frame(n=Column([1] * rows, int), lists=Column([array] * rows, object))

    def concat(frames: list[Frame], *, ignore_index: bool) -> Frame:
        assert ignore_index
        return Frame(n=Column([1] * sum(map(len, frames)), int))

    def cursor(*rows: int) -> Any:
        chunks = map(chunk, rows)
        return SimpleNamespace(fetch_df_chunk=lambda: next(chunks, chunk(0)))

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(concat=concat))
    assert len(results._frame(cursor(9, 9, 2), Cap(20, 25_000))) == 20
    assert len(results._frame(cursor(), Cap(1, 1))) == 0
    with pytest.raises(ResultTooLargeError, match="more than 19 rows"):
        results._frame(cursor(9, 9, 2), Cap(19, 10**6))
    with pytest.raises(ResultTooLargeError, match="more than 20,000 bytes"):
        results._frame(cursor(9, 9, 2), Cap(20, 20_000))


def test_rows_are_taken_in_growing_batches_until_one_is_large():
    """So that what is measured too late stays small beside the cap."""

    def taken(row: str) -> list[int]:
        counts: list[int] = []
        left = iter(range(8))

        def fetchmany(count: int) -> list[tuple[str]]:
            counts.append(count)
            return [(row,)] * count if next(left, None) is not None else []

        column = ("text", SimpleNamespace(id="varchar"))
        results.fetch(SimpleNamespace(description=[column], fetchmany=fetchmany), WIDE)
        return counts

    assert taken("x") == [64, 128, 256, 512, 1024, 2048, 2048, 2048, 2048]
    assert taken("x" * (results.LARGE_BYTES // 256)) == [64, 128, 256] + [256] * 6


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_query_makes_few_rows_ahead_of_those_that_are_measured(asked, threads):
    """With less of a buffer than DuckDB can share among threads, no row would ever come."""
    size = asked("select current_setting('streaming_buffer_size')", threads=threads).rows
    assert size == [("1000 bytes",)]
    assert len(asked("select n, n, n, n, repo from facts", threads=threads).rows) == 9
