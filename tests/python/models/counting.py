"""Counts the rows that dbt's statements and the publication's read and write."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orb_learning import dbt_plugin

_NODE = re.compile(r'"node_id": "\w+\.orb_learning\.([\w-]+)"')
_WRITES = {
    "INSERT",
    "DELETE_OPERATOR",
    "DELETE",
    "CREATE_TABLE_AS",
    "BATCH_INSERT",
    "BATCH_CREATE_TABLE_AS",
}


@dataclass
class Work:
    """Rows that one refresh read from tables and wrote to them, by model."""

    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    def note(self, model: str, profile: str) -> None:
        self._walk(model, json.loads(profile))

    def _walk(self, model: str, node: dict[str, Any]) -> None:
        kind = node.get("operator_type", "")
        self.read[model] += node.get("operator_rows_scanned", 0)
        children = node.get("children", [])
        if kind in _WRITES:
            self.written[model] += sum(_rows(child) for child in children)
        for child in children:
            self._walk(model, child)


def _rows(node: dict[str, Any]) -> int:
    """Return the rows that an operator gave; a CTE gives what its last child does."""
    if node.get("operator_type") == "CTE":
        return _rows(node["children"][-1])
    return int(node["operator_cardinality"])


class _Profiled:
    """A connection whose statements are counted."""

    def __init__(self, connection: Any, work: Work) -> None:
        self._connection = connection
        self._work = work
        connection.execute("set enable_profiling = 'no_output'")

    def execute(self, *arguments: Any) -> Any:
        result = self._connection.execute(*arguments)
        self._work.note("publication", self._connection.get_profiling_information(format="json"))
        return result


@contextmanager
def counted() -> Iterator[Work]:
    """Count what dbt's statements and the publication's do."""
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    work = Work()
    execute, publish = DuckDBCursorWrapper.execute, dbt_plugin.publish

    def counting(self: Any, sql: str, bindings: Any = None) -> Any:
        self._cursor.execute("set enable_profiling = 'no_output'")
        found = _NODE.search(sql)
        if not found or bindings is not None:
            return execute(self, sql, bindings)
        result = self
        # One by one: of several statements DuckDB tells only what the last one did.
        for statement in self._cursor.extract_statements(sql):
            result = execute(self, statement.query)
            work.note(found[1], self._cursor.get_profiling_information(format="json"))
        return result

    DuckDBCursorWrapper.execute = counting
    dbt_plugin.publish = lambda warehouse, *arguments, **named: publish(
        _Profiled(warehouse, work), *arguments, **named
    )
    try:
        yield work
    finally:
        DuckDBCursorWrapper.execute, dbt_plugin.publish = execute, publish
