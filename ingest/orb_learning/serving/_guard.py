"""What a caller of `query` may run: one SELECT, or an EXPLAIN of one.

DuckDB says what a text is, and the text that it was asked about is the text that is run. So nothing
depends on how SQL is read here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orb_learning._database import literal
from orb_learning.errors import InvalidQueryError

if TYPE_CHECKING:
    import duckdb

FUNCTIONS = {
    "generate_series", "icu_calendar_names", "json_each", "json_tree", "pg_timezone_names",
    "pragma_database_size", "pragma_show", "pragma_storage_info", "pragma_table_info",
    "pragma_version", "range", "repeat", "repeat_row", "summary", "unnest",
}  # fmt: skip
"""What may stand where a table does, beside `duckdb_tables()` and its like.

Others read files, which is refused anyway, or change settings of all callers, such as
`enable_logging`, or run what a text says, or read memory at an address.
"""

REFUSED = {"json_serialize_plan", "write_log"}
"""What may stand nowhere: it prepares SQL that is a text of its own, or writes for all to read."""

EXPLAIN_WORDS = {
    "(", ")", ",", "analyze", "default", "explain", "false", "format", "graphviz", "html", "json",
    "mermaid", "text", "true", "yaml",
}  # fmt: skip
"""What is repeated of what stands before an explained SELECT; no other statement is made of it."""

MAX_NESTING = 64
"""How deep lists and structs may be nested that are bound to a query."""

MAX_TREE_DEPTH = 900
"""How deep DuckDB's tree of a query may be: a call within a call is two levels. What is deeper may
run into its time limit; Python 3.11 reads nothing much deeper, later ones do."""

MAX_PARSE_SECONDS = 1.0
"""Processor time to take a text apart. To run it takes that again, while no other thread may go on;
20 KB of nested comments took 3 s."""


def read_only(cursor: duckdb.DuckDBPyConnection, sql: object) -> str:
    """Return the text to run for one that a caller gave, if it is one query.

    The file is read-only anyway; this keeps callers from changing what others get.

    Raises:
        InvalidQueryError: it is no query, or more than one statement, or calls what it may not.
        duckdb.Error: DuckDB cannot parse it, or was interrupted.
    """
    import duckdb

    if not isinstance(sql, str):
        raise InvalidQueryError(f"sql: expected a text, not {type(sql).__name__}")
    if sql.encode(errors="replace").decode() != sql:
        raise InvalidQueryError("sql: the text has half a character in it")
    tree = _tree(cursor, sql)  # first, for it alone lets other threads go on
    statements = cursor.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    if kinds == [duckdb.StatementType.EXPLAIN]:
        return _explained(cursor, statements[0].query)
    if kinds != [duckdb.StatementType.SELECT]:
        named = ", ".join(str(kind).rpartition(".")[2] for kind in kinds) or "nothing"
        raise InvalidQueryError(f"expected one SELECT, not {named}: the copy is read-only")
    # Not always what was given: DuckDB makes plain spaces of others, and drops empty statements.
    text = statements[0].query
    for name, is_table in _functions(tree if text == sql else _tree(cursor, text)):
        if name in REFUSED:
            raise InvalidQueryError(f"{name}() is not among the functions that may be called")
        if is_table and name not in FUNCTIONS and not name.startswith("duckdb_"):
            raise InvalidQueryError(f"{name}() is not among the functions that may be a table")
    return text


def _explained(cursor: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return an EXPLAIN of our own, of the first rest of an EXPLAIN that may be run by itself."""
    import duckdb

    words, spelled = ["explain"], sql.encode()
    for start in [start for start, _ in duckdb.tokenize(sql)][1:]:
        rest = spelled[start:].decode()
        try:
            return f"{' '.join(words)} {read_only(cursor, rest)}"
        except (duckdb.Error, InvalidQueryError):
            (word,) = re.findall(r"\A['\"]?(\w+|.)", rest)
            if word.lower() not in EXPLAIN_WORDS:
                raise
            words.append(word)
    raise InvalidQueryError("expected one SELECT to explain")


def _tree(cursor: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return what DuckDB takes a text for, as JSON."""
    begun = time.thread_time()
    ((tree,),) = cursor.execute(f"select json_serialize_sql({literal(sql)})").fetchall()
    if time.thread_time() - begun > MAX_PARSE_SECONDS:
        raise InvalidQueryError(f"sql: it takes more than {MAX_PARSE_SECONDS:g} s to be looked at")
    return str(tree)


def _functions(tree: str) -> Iterator[tuple[str, bool]]:
    """Yield each function that a query calls, and whether it stands where a table does."""
    try:
        left = [json.loads(tree)["statements"]] if _depth(tree) <= MAX_TREE_DEPTH else None
    except (RecursionError, KeyError):  # or DuckDB says an error in its place
        left = None
    if left is None:
        raise InvalidQueryError("sql: it is nested too deep to be looked at")
    while left:
        node: Any = left.pop()
        if isinstance(node, list):
            left.extend(node)
        elif isinstance(node, dict):
            left.extend(node.values())
            if node.get("type") == "TABLE_FUNCTION":
                yield str(node["function"].get("function_name", "")).lower(), True
            elif "function_name" in node:
                yield str(node["function_name"]).lower(), False


def _depth(tree: str) -> int:
    """Return how deep JSON text is nested, or how deep it is at the most, if that is little."""
    most = tree.count("{") + tree.count("[")
    if most <= MAX_TREE_DEPTH:
        return most
    depth = deepest = 0
    for sign in re.findall(r"[][{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", tree)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def refuse_deep(params: object) -> None:
    """Refuse parameters that DuckDB would follow until the process dies."""
    level: list[Any] = [params]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for value in level
            if isinstance(value, list | tuple | dict)
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, list | tuple | dict)
        ]
        if not level:
            return
    raise InvalidQueryError(f"a parameter is nested deeper than {MAX_NESTING}")
