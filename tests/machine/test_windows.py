"""Windows that move back and forth over the same events."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from orb_learning import Telemetry

from .drivers import Compiled, Recorded, attached
from .oracle import expected
from .strategies import NOW, random_events
from .tables import COLUMNS, LOADS, assert_same


def test_what_leaves_a_window_goes_and_what_enters_it_comes(
    memory: Path, recorded: Recorded
) -> None:
    told = random_events(80)
    compiled = Compiled(memory / "windows", recorded)
    with Telemetry(compiled.home.root, strict=True) as telemetry:
        for event in told:
            telemetry.capture_sync(event)
    patterns = []
    for days in (0, 60, 1, -31, 200, 0):
        compiled.run(days, publishes=False)
        wanted = expected(told, (), (NOW + timedelta(days=days)).date())
        assert_same(compiled.tables(), wanted, f"{days} days on")
        patterns.append(len(wanted["solution_patterns"]))
    assert patterns[0] > patterns[4] == 0, "patterns must go for this to tell"


def test_no_column_of_a_mart_is_left_out(memory: Path, recorded: Recorded) -> None:
    compiled = Compiled(memory / "columns", recorded)
    compiled.run(0)
    learning_db = compiled.home.current.resolve() / "learning.db"
    with attached(read_publication=learning_db) as connection:
        for table, columns in COLUMNS.items():
            described = connection.execute(f"describe {table}").fetchall()
            assert {row[0] for row in described} - {*LOADS} == {*columns}, table
