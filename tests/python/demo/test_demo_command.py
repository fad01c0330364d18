"""`orb-learning demo` as a person meets it: run whole, with dbt, at 80 columns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from rich.cells import cell_len

PROGRAM = Path(sys.executable).with_name("orb-learning")


def shell(folder: Path, command: str) -> str:
    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",  # where this program is not
            "HOME": str(folder),
            "DBT_USE_COLORS": "false",
            **{name: value for name, value in os.environ.items() if name.startswith("COV")},
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("program", ["bin/orb-learning", f"{sys.executable} -m orb_learning"])
def test_its_last_commands_work_as_printed(tmp_path, program):
    here = tmp_path / "a folder"
    (here / "bin").mkdir(parents=True)
    (here / "bin" / "orb-learning").symlink_to(PROGRAM)
    said = shell(here, f"{program} demo --tasks 150")
    lines = said.splitlines()
    commands = [line.strip() for line in lines[lines.index("look around:") + 1 :]]
    assert all(f"{program} --home data/demo " in command for command in commands)
    assert [command.partition("data/demo ")[2] for command in commands] == [
        "status",
        "recommend bug_fix --value 2.4",
        "report --mart solution_patterns",
        "dbt docs generate",
        "dbt docs serve",
    ]
    tables = lines[: lines.index("look around:")]
    assert max(map(cell_len, tables)) <= 80
    assert any(line.startswith("Last 30 days (and the 30 before): ") for line in lines)
    if program.startswith("bin/"):
        assert max(map(cell_len, commands)) <= 78
        for command in commands[:-1]:
            shell(here, command)
        assert (here / "data" / "demo" / "target" / "catalog.json").exists()
    with duckdb.connect(str(here / "data" / "demo" / "learning.db"), read_only=True) as published:
        assert published.execute("select count(*) from executions").fetchone()[0] > 100
