"""What a caller's SQL may do: read the publication, and nothing that others would notice."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orb_learning.errors import InvalidQueryError
from orb_learning.serving import LearningDatabase
from orb_learning.serving import _guard as guard

POISON = "create schema memory.learning"
FORGED = "create table memory.main.facts as select 'forged' as repo"
SPY = "call enable_logging(level = $$info$$)"
CRASH = "select * from pandas_scan(null)"

SMUGGLED = [
    "explain analyze /* /* */ select ' */ {} -- '",
    "explain /* /* */ select 1 /* ' */ */ {} -- '",
    "explain/*/**/*/analyze/* /* */ select $$ */ */{}--$$",
    "explain analyze /* -- */ {} -- */ select 1",
    "explain -- /*\n {} -- */ select 1",
    "explain (format json) /* /* */ */ {}",
    "explain (format /* ) select 1 -- */ json) {}",
    "explain (analyze, format 'json) select 1 --') {}",
    "explain (format \"json) select 1 --\") {}",
    "explain analyze\u00a0{}",
    "explain\u2003/* /* */ select\u00a0' */\u00a0{} -- '",
    "\ufeffexplain analyze {}",
    "explain analyze select 1; {}",
    "explain select $a$ ; $a$; {}; select '",
    "select 1; {}",
    "select ';'; {}",
    "select 1 /* ; /* */ */; {}",
    "select $$ $a$ $$; {} -- $a$ $$",
    "select e'\\'; {} --'; {}",
    "select e'\\''; {} --'",
    'select 1 as "a;"; {}',
    "; ; {}",
    "with x as ({}) select 1",
    "from ({})",
    "describe {}",
    "summarize ({})",
    "prepare x as {}",
    "explain prepare x as {}",
    "execute x({})",
    "begin; {}; commit",
    "{}\0 select 1",
    "/* /* */ {} -- */\nselect 1; {}",
]  # fmt: skip


@pytest.mark.parametrize("sql", SMUGGLED)
def test_nothing_but_a_checked_select_is_run(published, sql):
    async def read() -> None:
        async with LearningDatabase(published.root) as db:
            for payload in (POISON, FORGED, SPY, CRASH):
                with pytest.raises(InvalidQueryError):
                    await db.query(sql.replace("{}", payload))
            state = await db.query(
                "select current_setting('enable_logging'), (select count(*) from duckdb_logs),"
                " count(*) from duckdb_tables() where database_name <> 'learning'"
            )
            assert state.rows == [(False, 0, 0)]
            assert (await db.query("select distinct repo from facts")).rows == [("api",)]

    asyncio.run(read())


PIECES = [
    "explain", "analyze", "(format json)", "(", ")", "select", "1", "from", "t", "/*", "*/", "--",
    "\n", "'", '"', "$$", "$a$", ";", "e'", "\\", "\u00a0", "\0", "create table x (n int)",
    "call enable_logging()", "describe", "with t as (select 1)", "values (1)", "show tables", ",",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
def test_whatever_is_run_is_a_query_and_changes_nothing(sql):
    with duckdb.connect() as connection:
        try:
            text = guard.read_only(connection, sql)
        except (InvalidQueryError, duckdb.Error):
            return
        (statement,) = connection.extract_statements(text)
        assert statement.type in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
        with suppress(duckdb.Error):
            connection.execute(text).fetchall()
        assert connection.execute("from duckdb_tables()").fetchall() == []
        assert connection.execute("select current_setting('enable_logging')").fetchone() == (False,)


@pytest.mark.parametrize(
    "sql",
    [
        "from facts",
        "values (1)",
        "table facts",
        "(select 1) union all (select 2)",
        "with a as (select 1) from a",
        "with recursive a as (select 1 as n union all select n + 1 from a where n < 3) from a",
        "describe facts",
        "describe select 1",
        "summarize facts",
        "show tables",
        "pivot facts on repo in ('api') using count(*)",
        "from (unpivot facts on n into name k value v)",
        "select 1;",
        ";; select 1 ;; -- the end",
        "/* /* nested */ */ select 1 -- no end of line",
        "\ufeffselect\u00a01",
        "select ';', $$ ; $$, e'\\';', 1 as \";\"",
        "explain describe facts",
        "explain (select 1)",
        "explain ((select 1) union (select 2)) order by 1",
        "/* /* nested */ */ explain /* 'ü */ analyze /* /* */ */ select 'ü'",
        "EXPLAIN (FORMAT 'json', \"ANALYZE\" true) select 1",
    ],
)
def test_queries_of_every_form_are_answered(asked, sql):
    assert asked(sql).rows


@pytest.mark.parametrize(
    ("sql", "run"),
    [
        ("select\u00a01;", "select 1;"),
        ("; select '\u00a0'", " select '\u00a0'"),
        ("explain--\n analyze/**/select 1 -- x", "explain analyze select 1 -- x"),
        ("Explain (Format \"json\") from t", "explain ( Format json ) from t"),
        ("explain (analyze) (select 1)", "explain ( analyze ) (select 1)"),
    ],
)  # fmt: skip
def test_what_is_run_is_the_checked_text(sql, run):
    with duckdb.connect() as connection:
        assert guard.read_only(connection, sql) == run


@pytest.mark.parametrize(
    "sql",
    [
        "select json_serialize_plan('select * from pandas_scan(null)')",
        "select system.main.\"JSON_serialize_plan\"('select 1')",
        "select n.json_serialize_plan() from (select 'from t' as n)",
        "explain select 1 where json_serialize_plan('from t') is null",
        "describe select list_transform(['from t'], lambda x: json_serialize_plan(x))",
        "from (values (1)) t(n), lateral (select json_serialize_plan('from t'))",
        "select 1 order by write_log('mine')",
    ],
)
def test_functions_that_run_or_write_more_than_the_query_are_refused(asked, sql):
    with pytest.raises(InvalidQueryError, match="not among the functions that may be called"):
        asked(sql)


@pytest.mark.parametrize(
    "sql",
    ["explain drop schema facts", "explain (format json) drop schema facts"],
)
def test_an_explain_without_a_query_is_refused_however_it_is_spelled(asked, monkeypatch, sql):
    with pytest.raises(InvalidQueryError, match="not DROP"):
        asked(sql)
    monkeypatch.setattr(guard, "EXPLAIN_WORDS", {*guard.EXPLAIN_WORDS, *sql.split()})
    with pytest.raises(InvalidQueryError, match="expected one SELECT to explain"):
        asked(sql)


def test_a_text_that_takes_long_to_be_looked_at_is_refused(asked, monkeypatch):
    monkeypatch.setattr(guard, "MAX_PARSE_SECONDS", 0)
    with pytest.raises(InvalidQueryError, match="more than 0 s to be looked at"):
        asked("select 1")


@pytest.mark.parametrize("wrong", [duckdb.InternalException, duckdb.FatalException])
def test_a_failure_within_duckdb_is_over_with_the_next_call(published, wrong):
    def fail(*_: Any) -> None:
        raise wrong("INTERNAL Error: Attempted to access index 0 within vector of size 0")

    async def read() -> None:
        async with LearningDatabase(published.root) as db:
            before = db._publications.current()
            with pytest.raises(InvalidQueryError, match="INTERNAL Error"):
                await db._runner.run(db._publications.current, fail)
            assert (await db.query("select count(*) from facts")).rows == [(9,)]
            assert db._publications.current() is not before

    asyncio.run(read())


def test_no_query_takes_the_publication_from_others(published):
    """DuckDB 1.5 invalidates the whole instance after this one."""

    async def read() -> None:
        async with LearningDatabase(published.root) as db:
            with pytest.raises(InvalidQueryError):
                await db.query("select reservoir_quantile(1.5, []::int[])")
            assert (await db.query("select count(*) from facts")).rows == [(9,)]

    asyncio.run(read())


NESTED = {
    "calls": ("abs(", "1", ")", 446),
    "lists": ("[", "1", "]", 446),
    "sums": ("1 + ", "1", "", 446),
    "queries": ("(select ", "1", ")", 223),
    "cases": ("case when true then ", "1", " end", 297),
}


@pytest.mark.parametrize("kind", NESTED)
def test_how_deep_a_query_may_be_nested_depends_on_no_interpreter(kind):
    before, inner, after, most = NESTED[kind]
    stack = sys.getrecursionlimit()
    with duckdb.connect() as connection:
        for limit in (stack, 100_000):
            sys.setrecursionlimit(limit)
            try:
                guard.read_only(connection, f"select {before * most}{inner}{after * most}")
                for deeper in (most + 1, most + 90):
                    with pytest.raises(InvalidQueryError, match="nested too deep"):
                        guard.read_only(
                            connection, f"select {before * deeper}{inner}{after * deeper}"
                        )
            finally:
                sys.setrecursionlimit(stack)


def test_what_is_long_or_only_looks_nested_is_not_deep():
    with duckdb.connect() as connection:
        for sql in (
            f"select {'true and ' * 2000} true",
            "select 1" + " union all select 1" * 1000,
            f"select '{'[{' * 2000}', '\\', e'\\\\\"{'[' * 2000}'",
            f"select {', '.join(map(str, range(5000)))}",
        ):
            assert guard.read_only(connection, sql)


def test_where_the_stack_is_nearly_used_up_a_query_is_refused_too(monkeypatch):
    def loads(_: str) -> None:
        raise RecursionError

    monkeypatch.setattr(guard.json, "loads", loads)
    with duckdb.connect() as connection, pytest.raises(InvalidQueryError, match="too deep"):
        guard.read_only(connection, "select 1")
