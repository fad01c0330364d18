"""A `dbt run` as cron starts it, beside one of an empty project."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from history import Wanted
from report import table
from warm import TURNS, capture

EMPTY_PROJECT = """
name: empty
version: "1.0.0"
config-version: 2
profile: empty
flags: {send_anonymous_usage_stats: false}
"""
EMPTY_PROFILE = """
empty:
  target: duckdb
  outputs: {duckdb: {type: duckdb, path: empty.duckdb, threads: 1}}
"""


def cold_run(folder: Path, home: Path) -> float:
    """Return the seconds of a `dbt run` in a process of its own."""
    import os
    import subprocess
    import sys

    begin = time.perf_counter()
    subprocess.run(
        [
            Path(sys.executable).with_name("dbt"), "--quiet", "run",
            "--target-path", home / "target", "--log-path", home / "logs",
        ],
        cwd=folder,
        env={**os.environ, "ORB_LEARNING_HOME": str(home)},
        check=True,
    )  # fmt: skip
    return time.perf_counter() - begin


def cold(wanted: Wanted) -> list[str]:
    """`dbt run` as cron starts it, beside one of a project without any model."""
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name:
        folder = Path(name)
        empty = folder / "empty"
        empty.mkdir()
        (empty / "dbt_project.yml").write_text(EMPTY_PROJECT)
        (empty / "profiles.yml").write_text(EMPTY_PROFILE)
        ours, project = folder / "ours", Path(__file__).parents[1]
        times: dict[str, list[float]] = {"an empty project": [], "this one, 1,000 new events": []}
        for number in range(TURNS + 1):  # the first of each parses
            capture(ours, 1_000, 0, seed=number)
            taken = (cold_run(empty, empty), cold_run(project, ours))
            if number:
                for found, seconds in zip(times.values(), taken, strict=True):
                    found.append(seconds)
    least, most = (median(found) for found in times.values())
    return [
        f"Seconds of a cold `dbt run`, {TURNS} of each by turns, projects parsed before; the load"
        " and the publication are part of ours.",
        "",
        *table(
            ["", "median", "least", "most"],
            [
                [what, f"{median(found):.2f}", f"{min(found):.2f}", f"{max(found):.2f}"]
                for what, found in times.items()
            ],
        ),
        "",
        f"{most / least:.2f} times an empty project's.",
    ]
