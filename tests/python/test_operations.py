"""What docs/operations.md gives to copy: units, a crontab, a container's commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from orb_learning import cli

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
UNITS = dict(re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", TEXT, re.DOTALL))
(CRONTAB,) = re.findall(r"```crontab\n(.*?)```", TEXT, re.DOTALL)
JOBS = [line for line in CRONTAB.splitlines() if not re.match(r"[A-Z_]+=", line)]
PROGRAM = "/opt/orb-learning/bin/orb-learning"
COMMANDS = [
    *re.findall(r"\borb-learning ((?:schedule|refresh|embed|backup|prune|status)\b[^\n`&]*)", TEXT),
    "schedule --interval 60",
]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("wrong", [False, True], ids=["as it stands", "with an error"])
def test_systemd_accepts_the_units(tmp_path, wrong):
    assert len(UNITS) == 3
    for name, unit in UNITS.items():
        text = unit.replace(PROGRAM, "/bin/true")
        if wrong:
            text = text.replace("TimeoutSt", "TimeoutXt")
        (tmp_path / name).write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ("TimeoutXt" in verified.stderr) == wrong
    if not wrong:
        assert (verified.returncode, verified.stderr) == (0, "")


def test_a_stop_leaves_time_for_the_grace_and_the_roll_back():
    from orb_learning.refresh._scheduler import GRACE_SECONDS, ROLL_BACK_SECONDS

    unit = int(re.search(r"TimeoutStopSec=(\d+)", UNITS["orb-learning.service"])[1])
    container = int(re.search(r"--stop-timeout (\d+)", TEXT)[1])
    assert min(unit, container) >= GRACE_SECONDS + ROLL_BACK_SECONDS + 5


@pytest.mark.parametrize("job", JOBS)
def test_a_line_of_the_crontab_has_five_fields_and_a_command(job):
    *fields, command = job.split(" ", 5)
    for field, largest in zip(fields, (59, 23, 31, 12, 7), strict=True):
        assert re.fullmatch(r"\*(/\d+)?|\d+", field)
        assert all(int(number) <= largest for number in re.findall(r"\d+", field))
    assert "%" not in command, "cron would end the line there"
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("command", sorted(set(map(str.strip, COMMANDS))))
def test_a_command_can_be_parsed(command):
    name, *arguments = shlex.split(command)
    found = typer.main.get_command(cli.app).commands[name]
    found.make_context(name, arguments)


def test_there_are_examples():
    assert len(JOBS) == 4
    assert len(set(COMMANDS)) >= 4
