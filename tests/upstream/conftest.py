"""Canaries: what DuckDB and dbt do today that the design leans on.

Each test states one behaviour. When an upgrade turns one red, its docstring says what to look at
again. They need only duckdb, dbt-duckdb and pytest, so that any version can be tried in a venv of
its own: `make canaries`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_CHILD = """
import os, signal, sys
import duckdb
path, *statements = sys.argv[1:]
connection = duckdb.connect(path)
for statement in statements:
    connection.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _run_and_kill(path: Path, *statements: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(path), *statements],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


@pytest.fixture(scope="session")
def run_and_kill() -> Callable[..., None]:
    """Return what runs statements in a process of its own, which then dies as by `kill -9`."""
    return _run_and_kill
