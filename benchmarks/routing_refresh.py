"""What the models of advice cost a warm refresh of a long history."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from history import TIERS, UNTIL, build_history, write_history
from report import alone, table
from routing_trials import Line
from warm import TURNS, Warm, capture

from orb_learning.home import Home

REPOS = 200
ARMS = (*TIERS, *(f"tier_{number}" for number in range(len(TIERS) + 1, 9)))
MODELS = (
    "int_task_groups",
    "int_usual_costs",
    "int_arm_days",
    "int_arm_retries",
    "int_arm_group_pairs",
    "int_arm_sums",
    "arm_evidence",
    "arm_pair_evidence",
    "int_arm_choices",
    "escalation_plans",
    "routing_recommendations",
)
CASES = {"nothing new": 0, "1,000 new events": 1_000}
_NODE = re.compile(r'"node_id": "model\.orb_learning\.(\w+)"')


@dataclass
class Spent:
    """What each model took in one refresh, seconds.

    Attributes:
        processor: of all threads, in its statements.
        statements: elapsed in its statements.
        nodes: elapsed as dbt counts it, its own work included.
        refresh: elapsed in all models.
    """

    processor: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    statements: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    nodes: dict[str, float] = field(default_factory=dict)
    refresh: float = 0.0

    def total(self, kind: str) -> float:
        """Return one of these of all models of advice together."""
        return sum(getattr(self, kind)[model] for model in MODELS)


@contextmanager
def watched(spent: Spent) -> Iterator[None]:
    """Note what each statement of dbt takes, by model."""
    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper

    original = DuckDBCursorWrapper.execute
    of_cursor: dict[int, str] = {}

    def execute(self: Any, sql: str, bindings: Any = None) -> Any:
        if named := _NODE.search(sql):
            of_cursor[id(self)] = named[1]
        begin, processor = time.perf_counter(), time.process_time()
        try:
            return original(self, sql, bindings)
        finally:
            model = named[1] if named else of_cursor.get(id(self), "")
            spent.statements[model] += time.perf_counter() - begin
            spent.processor[model] += time.process_time() - processor

    DuckDBCursorWrapper.execute = execute
    try:
        yield
    finally:
        DuckDBCursorWrapper.execute = original


def measured(root: Path) -> dict[str, list[Spent]]:
    """Refresh a warm home again and again."""
    warm = Warm(root, indexes=False)
    moment = time.time_ns()  # an earlier run may have captured into this history
    for number in range(2):
        capture(root, 100, 0, seed=f"{moment} {number}")
        warm.run()
    found: dict[str, list[Spent]] = {case: [] for case in CASES}
    for number in range(TURNS):
        for case, new in CASES.items():
            capture(root, new, 0, seed=f"{moment} {case} {number}")
            spent = Spent()
            with watched(spent):
                spent.refresh = warm.run().models
            spent.nodes = {
                result.node.name: result.execution_time for result in warm.results if result.node
            }
            found[case].append(spent)
    return found


def build(root: Path, executions: int) -> None:
    """Write and build a history."""
    home = Home(root)
    if not home.staging.exists():
        write_history(
            home, executions=executions, texts=200_000, until=UNTIL, repos=REPOS, tiers=ARMS
        )
    build_history(root, executions=executions, texts=0, until=UNTIL, indexes=False)


def warm_refresh(folder: Path, sizes: Sequence[int]) -> tuple[list[str], list[Line]]:
    """Return a table of each history's models, and the bound of the last."""
    text: list[str] = []
    lines: list[Line] = []
    for size in sizes:
        root = folder / f"advice-{size}"
        if not Home(root).current.exists():
            alone(build, root, size)
        found = alone(measured, root)
        rows = [
            [
                model,
                *(f"{median(turn.processor[model] for turn in turns):.3f}"
                  for turns in found.values()),
            ]
            for model in MODELS
        ]  # fmt: skip
        rows += [
            [f"all of them{of}", *(f"{_total(turns, kind):.2f}" for turns in found.values())]
            for kind, of in [
                ("processor", ""),
                ("statements", ", elapsed"),
                ("nodes", ", elapsed, with dbt's own work"),
            ]
        ]
        rows.append(
            [
                "all models of the project, elapsed",
                *(f"{median(turn.refresh for turn in turns):.2f}" for turns in found.values()),
            ]
        )
        text += [
            f"{size:,} executions, {REPOS} repositories x 6 types x {len(ARMS)} arms: processor"
            f" seconds of the statements of each model, median of {TURNS} warm refreshes.",
            "",
            *table(["", *found], rows),
        ]
        lines.append(
            Line(
                f"models' share of a warm refresh, {size:,} executions",
                "0.4 s",
                "; ".join(
                    f"{case}: {_total(turns, 'processor'):.2f}" for case, turns in found.items()
                )
                + " s of processor in their statements",
                all(_total(turns, "processor") <= 0.4 for turns in found.values()),
            )
        )
    return text, lines


def _total(turns: Sequence[Spent], kind: str) -> float:
    return median(turn.total(kind) for turn in turns)
