"""An import is taken back whole, and nothing but another import brings it back."""

from __future__ import annotations

import json
import os
import signal
from itertools import count
from typing import Any

import pytest

from orb_learning import Telemetry, _faults
from orb_learning.errors import HomeError
from orb_learning.events import ExecutionRecorded, InvalidEvent, content_hash, parse_line
from orb_learning.importer import import_files
from orb_learning.staging import list_quarantine
from orb_learning.upkeep import (
    Import,
    _erasure,
    backup,
    list_imports,
    migrate_down,
    migrate_up,
    reset,
    restore,
    take_in,
    undo_import,
)

ROW = {"timestamp": "2026-03-01T12:00:00Z", "task_type": "x", "repo": "r", "model_tier": "m"}


def rows(*names: str) -> list[dict[str, Any]]:
    """Return a row for each name; of the word `hm` nobody knows what it means."""
    return [{**ROW, "task_id": name, "success": name if name == "hm" else True} for name in names]


@pytest.fixture
def imported(home, tmp_path):
    """Import rows of these names from a file, and return the import's id."""

    def bring(*names: str, file: str = "runs.jsonl") -> str:
        path = tmp_path / file
        path.write_text("\n".join(map(json.dumps, rows(*names))))
        with Telemetry(home.root) as telemetry:
            return import_files(telemetry, [path]).import_id

    return bring


@pytest.fixture
def names(home, staging):
    """Return the names of the rows that staging holds, in order."""

    def held() -> list[str]:
        take_in(home)
        found = staging.query("select metadata ->> '$.task_ref' from raw.execution_recorded")
        return sorted(name for (name,) in found)

    return held


def seen(found: list[Import]) -> list[tuple[str, int, int]]:
    return [(one.import_id, one.rows, one.refused) for one in found]


def test_an_import_goes_whole_and_can_be_made_again(home, imported, names):
    with Telemetry(home.root) as telemetry:
        telemetry.record_execution_sync(**rows("of a hook")[0])
    wrong = imported("a", "b", "hm")
    right = imported("c")
    assert names() == ["a", "b", "c", "of a hook"]
    assert seen(list_imports(home)) == [(right, 1, 0), (wrong, 2, 1)]
    gone = undo_import(home, wrong)
    assert (gone.import_id, gone.rows, gone.refused) == (wrong, 2, 1)
    assert names() == ["c", "of a hook"]
    assert list_quarantine(home) == []
    assert seen(list_imports(home)) == [(right, 1, 0)]
    again = imported("a", "b", "hm")
    assert names() == ["a", "b", "c", "of a hook"]
    assert seen(list_imports(home)) == [(again, 2, 1), (right, 1, 0)]


def test_its_id_begins_with_the_name_of_its_file(home, imported, staging):
    first, other = imported("a", file="Grün & Söhne (2).jsonl"), imported("b", file="§.jsonl")
    assert first.startswith("gr-n-s-hne-2-20")
    assert other.startswith("file-20")
    take_in(home)
    assert staging.query("select import_id from raw.execution_recorded order by 1") == [
        (other,),
        (first,),
    ]


@pytest.mark.parametrize("is_loaded_apart", [True, False])
def test_a_row_of_two_imports_is_the_firsts(home, imported, names, is_loaded_apart):
    first = imported("a", "b", "hm")
    if is_loaded_apart:
        take_in(home)
    second = imported("b", "c", "hm")
    assert seen(list_imports(home)) == [(second, 1, 0), (first, 2, 1)]
    undo_import(home, second)
    assert names() == ["a", "b"]
    assert len(list_quarantine(home)) == 1
    reset(home)
    assert names() == ["a", "b"], "its lines are still there"
    assert len(list_quarantine(home)) == 1


def test_what_a_later_import_brought_again_goes_with_the_first(home, imported, names):
    first = imported("a", "b", "hm")
    take_in(home)
    second = imported("b", "c", "hm")
    undo_import(home, first)
    assert names() == ["c"]
    reset(home)
    assert names() == ["c"], "and no rebuild finds it"
    assert list_quarantine(home) == []
    assert seen(list_imports(home)) == [(second, 1, 0)]


def test_what_was_undone_stays_away(home, imported, names):
    wrong = imported("a", "hm")
    imported("b")
    take_in(home)
    backup(home)
    undo_import(home, wrong)
    for bring_back in (reset, restore, take_in):
        bring_back(home)
        assert names() == ["b"], bring_back
        assert list_quarantine(home) == []
    assert b"'a'" not in b"".join(path.read_bytes() for path in home.spool.iterdir())
    migrate_down(home, 5)
    migrate_up(home)
    assert names() == ["b"]


def test_lines_of_an_undone_import_that_come_late_are_not_taken(home, spool, imported, names):
    wrong = imported("a", "hm")
    lines = b"".join(path.read_bytes() for path in home.spool.iterdir())
    undo_import(home, wrong)
    spool.write("late.jsonl", *lines.splitlines())
    assert names() == []
    assert list_quarantine(home) == []
    assert wrong.encode() not in (home.spool / "late.jsonl").read_bytes()


@pytest.mark.parametrize("point", ["erase.checkpointed", "erase.blanked", "erase.dropped"])
def test_a_kill_in_between_leaves_it_to_the_next_run(home, imported, names, point):
    wrong = imported("a", "hm")
    take_in(home)
    imported("a", "b", "hm")
    take_in(home)
    pid = os.fork()
    if pid == 0:
        _faults.arm(point)
        undo_import(home, wrong)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert names() == ["b"]
    reset(home)
    assert names() == ["b"]
    assert list_quarantine(home) == []


def test_a_kill_between_the_lines_of_two_imports_leaves_none_behind(home, imported, names):
    """The second one's lines are known by the first one's alone, so those have to go last."""
    wrong = imported("a", "hm")
    take_in(home)
    imported("a", "b", "hm")
    take_in(home)
    pid = os.fork()
    if pid == 0:
        blank, passes = _erasure._blank_lines, count(1)

        def dying(*arguments: Any) -> set[str]:
            if next(passes) == 3:  # after looking, and after the lines of one of them
                os.kill(os.getpid(), signal.SIGKILL)
            return blank(*arguments)

        _erasure._blank_lines = dying
        undo_import(home, wrong)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert names() == ["b"]
    reset(home)
    assert names() == ["b"]
    assert list_quarantine(home) == []


def test_what_is_no_import_is_not_undone(home, imported):
    with pytest.raises(
        HomeError, match=r"no import 'runs-1', or all its rows were known before; see `orb"
    ):
        undo_import(home, "runs-1")
    assert not home.root.exists()
    wrong = imported("a")
    undo_import(home, wrong)
    with pytest.raises(HomeError, match="no import"):
        undo_import(home, wrong)


def test_an_import_is_no_part_of_what_a_line_says(home, imported):
    imported("a", "hm")
    imported("a", "hm")
    lines = [line for path in home.spool.iterdir() for line in path.read_bytes().splitlines()]
    events = [parse_line(line) for line in lines]
    runs = [event for event in events if isinstance(event, ExecutionRecorded)]
    refusals = [event for event in events if isinstance(event, InvalidEvent)]
    for pair in (runs, refusals):
        assert len({event.event_id for event in pair}) == 1
        assert len({event.import_id for event in pair}) == 2
    assert len({content_hash(event.to_line()) for event in runs}) == 1
    (run, _) = runs
    said = run.model_copy(update={"metadata": {"a": 1, "import_id": "of the host"}})
    assert content_hash(said.to_line()) != content_hash(run.to_line())
    assert content_hash(said.to_line()) == content_hash(
        said.model_copy(update={"import_id": None}).to_line()
    )


def test_a_column_of_that_name_is_the_hosts_own(home, staging, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({**rows("a")[0], "import_id": "theirs"}))
    with Telemetry(home.root) as telemetry:
        ours = import_files(telemetry, [path]).import_id
    take_in(home)
    assert staging.query(
        "select import_id, metadata ->> '$.import_id' from raw.execution_recorded"
    ) == [(ours, "theirs")]
