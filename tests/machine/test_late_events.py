"""Many events of few tasks, which come late and load by load, some of tasks that were erased."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from orb_learning import Telemetry
from orb_learning.events import TaskErased

from .drivers import Compiled, Recorded
from .oracle import expected
from .strategies import NOW, TASKS, random_events
from .tables import assert_same

PARTS = 8


def test_every_load_changes_what_it_must_and_nothing_else(memory: Path, recorded: Recorded) -> None:
    told = random_events(160)
    compiled = Compiled(memory / "late", recorded)
    erased = []
    for part in range(PARTS):
        new = told[part::PARTS]
        with Telemetry(compiled.home.root, strict=True) as telemetry:
            for event in new:
                telemetry.capture_sync(event)
            if part in (2, 5):
                erased.append(TASKS[part])
                telemetry.capture_sync(TaskErased(task_id=TASKS[part], occurred_at=NOW))
        compiled.run(publishes=False)
        so_far = [event for earlier in range(part + 1) for event in told[earlier::PARTS]]
        assert_same(compiled.tables(), expected(so_far, erased, NOW.date()), f"load {part + 1}")


def test_a_first_load_of_everything_folds_plain_and_other_tasks(
    memory: Path, recorded: Recorded
) -> None:
    told = [  # two or three events a task, so that many tasks have one of each type at most
        event.model_copy(update={"task_id": UUID(int=1 + serial % 60)})
        for serial, event in enumerate(random_events(160))
    ]
    compiled = Compiled(memory / "first", recorded)
    with Telemetry(compiled.home.root, strict=True) as telemetry:
        for event in told:
            telemetry.capture_sync(event)
    compiled.run(publishes=False)

    assert_same(compiled.tables(), expected(told, [], NOW.date()), "the only load")
