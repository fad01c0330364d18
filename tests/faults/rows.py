"""Every kind of fault there is a trial for, and how many of them are tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import (
    _building,
    _capture,
    _damaging,
    _injecting,
    _loading,
    _publishing,
    _racing,
    _refusing,
    _repeating,
)
from ._result import Result

Trial = Callable[[int, Path], Result]


@dataclass(frozen=True)
class Part:
    """One kind of trial.

    Attributes:
        trial: takes a seed and an empty folder.
        short: how many faults are to hit in `make test`.
        long: how many in `make faults`.
    """

    trial: Trial
    short: int
    long: int


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    key: str
    name: str
    parts: tuple[Part, ...]

    @property
    def title(self) -> str:
        return f"{self.key} {self.name}"


ROWS = (
    Row("F1", "capture", (Part(_capture.capture, 40, 10_000),)),
    Row("F2", "loader", (Part(_loading.loading, 25, 5_000),)),
    Row("F3", "dbt", (Part(_building.running, 2, 200),)),
    Row("F4", "publish", (Part(_publishing.publishing, 25, 2_000),)),
    Row(
        "F5",
        "recovery",
        (
            Part(_loading.recovering, 8, 250),
            Part(_publishing.republishing, 8, 220),
            Part(_building.rerunning, 1, 30),
        ),
    ),
    Row("F6", "full disk", (Part(_refusing.full, 5, 500),)),
    Row("F7", "refused calls", (Part(_injecting.refusing, 10, 1_000),)),
    Row("F8", "damaged segments", (Part(_damaging.damaging, 400, 100_000),)),
    Row("F8b", "fuzzed lines", (Part(_damaging.fuzzing, 2_500, 1_000_000),)),
    Row("F9", "repeated lines", (Part(_repeating.repeating, 10, 1_000),)),
    Row("F10", "clocks", (Part(_repeating.jumping, 50, 2_000),)),
    Row(
        "F11",
        "at once",
        (Part(_racing.loaders, 5, 300), Part(_racing.refreshes, 4, 40)),
    ),
    Row("F12", "readers", (Part(_publishing.reading, 8, 1_000),)),
    Row("F13", "lost files", (Part(_building.losing, 2, 100),)),
)


def try_part(part: Part, faults: int, seeds: range, folder: Path) -> Result:
    """Run trials until so many faults have hit, each in a folder of its own."""
    total = Result()
    for seed in seeds:
        if total.faults >= faults or (not total.is_good and len(total.notes) >= 10):
            break
        place = folder / str(seed)
        place.mkdir()
        result = part.trial(seed, place)
        result.notes = [f"{part.trial.__name__} {seed}: {note}" for note in result.notes]
        total.add(result)
        shutil.rmtree(place, ignore_errors=True)
    return total
