"""A full build goes in parts of whole loads, all of them in one transaction."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from orb_learning import Telemetry
from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.upkeep import take_in

from .warehouse import Warehouse

LOADS = 5
TASKS = 8
"""New tasks in each load; half of them end in the next one."""

PARTS_ADDED = 6
"""Four loads, after the first that makes the table, and tasks of two loads in two shares."""


@pytest.fixture
def warehouse(tmp_path: Path, parsed: Refresher) -> Warehouse:
    built = Warehouse(tmp_path / "home", parsed)
    waiting: list[str] = []
    for number in range(LOADS):
        begun = [f"{number}-{task}" for task in range(TASKS)]
        with Telemetry(built.home.root, strict=True) as telemetry:
            for task in begun:
                telemetry.capture_routing_decision_sync(
                    task_id=task, task_type="fix", repo="acme/api", model_tier="small",
                    pool_type="solo", timestamp=f"2026-06-{number + 1:02}T10:00:00Z",
                )  # fmt: skip
            for task in begun[: TASKS // 2] + waiting:
                telemetry.capture_routing_outcome_sync(
                    task_id=task, success=True, timestamp=f"2026-06-{number + 1:02}T11:00:00Z"
                )
        waiting = begun[TASKS // 2 :]
        take_in(built.home)
    return built


def watch_parts(monkeypatch: pytest.MonkeyPatch, dies_at: int = 0) -> list[str]:
    """Return the statements that add a part to `int_attempts`; die before one of them."""
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    parts: list[str] = []
    original = DuckDBCursorWrapper.execute

    def execute(self: Any, sql: str, bindings: Any = None) -> Any:
        if '"node_id": "model.orb_learning.int_attempts"' in sql and "insert into" in sql:
            parts.append(sql)
            if len(parts) == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(self, sql, bindings)

    monkeypatch.setattr(DuckDBCursorWrapper, "execute", execute)
    return parts


@pytest.mark.parametrize("dies_at", [1, 3, PARTS_ADDED])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "anew"])
def test_a_full_build_that_is_killed_in_a_part_leaves_nothing_half_built(
    warehouse: Warehouse,
    children: Any,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: int,
    is_first: bool,
) -> None:
    if not is_first:
        warehouse.run()
        standing = current(warehouse.home).id

    def build() -> None:
        watch_parts(monkeypatch, dies_at)
        warehouse.run("--full-refresh", full_build_tasks=TASKS)

    pid = children.start(build)
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_status == signal.SIGKILL
    children.kill(pid)
    if not is_first:
        assert current(warehouse.home).id == standing

    warehouse.run()
    healed = warehouse.tables()
    assert len(healed["main.executions"]) == LOADS * TASKS - TASKS // 2
    parts = watch_parts(monkeypatch)
    warehouse.run("--full-refresh", full_build_tasks=TASKS)
    assert len(parts) == PARTS_ADDED
    assert warehouse.tables() == healed
    warehouse.run("--full-refresh")
    assert warehouse.tables() == healed
