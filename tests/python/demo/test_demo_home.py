"""A demo's home: made anew each time, and never at the cost of anybody's own events."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orb_learning import Telemetry
from orb_learning.demo import Mark, adding_history, clear
from orb_learning.demo._home import MARK, SIMULATING
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.spool import segment_names
from orb_learning.staging import open_staging
from orb_learning.upkeep import backup, prune, request_erasure, reset, restore, take_in


def record(root: Path, *names: str) -> None:
    with Telemetry(root, strict=True) as telemetry:
        for name in names:
            telemetry.capture_routing_outcome_sync(task_id=name, success=True)


def simulate(home: Home, *names: str) -> None:
    with home.locked(), adding_history(home) as root:
        record(root, *names)


def anew(home: Home) -> None:
    with home.locked():
        clear(home)


def events(home: Home) -> int:
    take_in(home)
    with open_staging(home) as connection:
        ((found,),) = connection.execute("select count(*) from raw.routing_outcome").fetchall()
    return int(found)


def test_a_home_is_made_anew(home):
    simulate(home, "one", "two")
    assert events(home) == 2
    simulate(home, "three")  # not loaded yet
    anew(home)
    assert not home.staging.exists()
    assert segment_names(home.spool) == []
    simulate(home, "four")
    assert events(home) == 1
    assert Mark.of(home).histories == 1
    assert stat.S_IMODE((home.root / MARK).stat().st_mode) == 0o600


def test_a_home_is_made_anew_whatever_was_done_to_it_since(home):
    simulate(home, "one", "two")
    take_in(home)
    made = backup(home).path
    request_erasure(home, tasks=["one"], users=["somebody"])
    assert events(home) == 1
    request_erasure(home, tasks=["two"])  # not loaded yet
    prune(home, raw_days=0, derived_days=0, segment_days=0, today=tomorrow(), is_sure=True)
    anew(home)
    simulate(home, "one")
    assert events(home) == 1, "an erasure of a demo's task is forgotten with it"
    restore(home, made)
    anew(home)
    simulate(home, "one")
    reset(home)
    anew(home)
    assert segment_names(home.spool) == []
    assert made.exists()


def tomorrow():
    return datetime.now(UTC).date() + timedelta(days=1)


@pytest.mark.parametrize("is_loaded", [True, False])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_home_with_somebodys_events_is_left_as_it_is(home, is_loaded, is_first):
    if is_first:
        record(home.root, "real")
    simulate(home, "one")
    if not is_first:
        record(home.root, "real")
    request_erasure(home, tasks=["one"])
    if is_loaded:
        take_in(home)
    with pytest.raises(
        HomeError, match="holds 1 events that no demo wrote, so nothing was removed"
    ):
        anew(home)
    assert len(segment_names(home.spool)) == 3
    with open_staging(home) as connection:
        assert len(connection.execute("from raw.routing_outcome").fetchall()) == 1


def test_a_line_that_was_refused_is_somebodys_too(home):
    simulate(home, "one")
    (home.spool / "20260101-theirs.jsonl").write_text("no event\n")
    with pytest.raises(HomeError, match="holds 1 events"):
        anew(home)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "3", '{"histories": 3}', '{"histories": 3, "segments": 3}']
)
def test_a_list_that_cannot_be_read_lists_nothing(home, text):
    simulate(home, "one")
    (home.root / MARK).write_text(text)
    assert Mark.of(home) == Mark()
    with pytest.raises(HomeError):
        anew(home)


def test_other_things_in_the_directory_stay(home):
    home.create()
    for name in ("target", "logs", "embeddings", "published/mine", "notes"):
        (home.root / name).mkdir(parents=True)
        (home.root / name / "mine.txt").write_text("")
    anew(home)
    simulate(home, "one")
    anew(home)
    assert len(list(home.root.rglob("mine.txt"))) == 5


def test_a_simulation_that_fails_or_is_killed_leaves_the_home_as_it_was(home, children):
    simulate(home, "one")
    before = (segment_names(home.spool), json.loads((home.root / MARK).read_text()))

    def fail(error: BaseException) -> None:
        with home.locked(), adding_history(home) as root:
            record(root, "two")
            raise error

    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert not (home.root / SIMULATING).exists()
    record(home.root / SIMULATING, "of a killed one")
    assert (segment_names(home.spool), json.loads((home.root / MARK).read_text())) == before
    anew(home)
    simulate(home, "three")
    assert events(home) == 1
