"""Evidence of arms after late loads, erasures and windows that move is that of one build."""

from __future__ import annotations

from pathlib import Path

from orb_learning import Telemetry
from orb_learning.events import Event, TaskErased

from .drivers import Compiled, Recorded, attached
from .strategies import NOW, TASKS, random_events

EVIDENCE = [
    "main_intermediate.int_arm_days",
    "main_intermediate.int_arm_retries",
    "main_intermediate.int_task_groups",
    "main_intermediate.int_arm_group_pairs",
    "main_intermediate.int_usual_costs",
    "main_intermediate.int_arm_sums",
    "main_intermediate.int_arm_choices",
    "main.arm_evidence",
    "main.arm_pair_evidence",
    "main.routing_recommendations",
    "main.escalation_plans",
]
PARTS = 5


def built(compiled: Compiled) -> dict[str, list[tuple[object, ...]]]:
    """Return the tables of evidence, but for what tells of loads."""
    with attached(warehouse=compiled.home.warehouse) as connection:
        return {
            name: connection.execute(
                f"select columns(c -> c not like '%fingerprint') from {name} order by all"
            ).fetchall()
            for name in EVIDENCE
        }


def tell(compiled: Compiled, events: list[Event]) -> None:
    with Telemetry(compiled.home.root, strict=True) as telemetry:
        for event in events:
            telemetry.capture_sync(event)


def test_evidence_is_after_any_loads_and_windows_what_one_build_makes_of_it(
    memory: Path, recorded: Recorded
) -> None:
    told: list[Event] = list(random_events(200))
    moved = Compiled(memory / "evidence", recorded)
    so_far: list[Event] = []
    filled = set()
    for part, days in enumerate((0, 60, -31, 1, 0)):
        new = told[part::PARTS]
        if part in (1, 3):
            new.append(TaskErased(task_id=TASKS[part], occurred_at=NOW))
        so_far += new
        tell(moved, new)
        moved.run(days, publishes=False)
        once = Compiled(memory / f"evidence{part}", recorded)
        tell(once, so_far)
        once.run(days, publishes=False)
        found, expected = built(moved), built(once)
        for name, rows in expected.items():
            assert found[name] == rows, (name, part)
        filled |= {name for name, rows in expected.items() if rows}
    assert filled == {*EVIDENCE}
