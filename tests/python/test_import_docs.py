"""The page on importing names every field, and its examples do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orb_learning._spellings import spellings
from orb_learning.events import ExecutionRecorded
from orb_learning.importer._survey import NEEDED

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"
TEXT = PAGE.read_text() if PAGE.exists() else ""
ROWS = {
    row[1]: row[0] for row in re.finditer(r"^\| `(\w+)` \|.*$", TEXT.split("## Mapping")[0], re.M)
}
EXAMPLES = [block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) if "FILE…" not in block]


@pytest.mark.parametrize("name", sorted({*ExecutionRecorded.model_fields} - {"import_id"}))
def test_a_field_is_named_with_its_spellings(name):
    if name == "event_type":
        return
    if name not in ROWS:
        assert f"`{name}`" in TEXT.split("Six more", 1)[1].split("##")[0]
        return
    called = {key for key, field in spellings(ExecutionRecorded).items() if field == name}
    assert {key for key in called - {name} if f"`{key}`" not in ROWS[name]} == set()
    assert ("| needed |" in ROWS[name]) is (name in NEEDED)


def test_no_field_is_named_that_is_none():
    assert set(ROWS) <= set(ExecutionRecorded.model_fields)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_does_what_it_says(example, home, events_in, tmp_path):
    program = tmp_path / "orb-learning"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m orb_learning "$@"\n')
    program.chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", example],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "ORB_LEARNING_HOME": str(home.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = int(done.stdout.split()[0])
    assert done.stdout == f"{rows} rows: {rows} recorded, 0 rejected\n"
    events = events_in(home.spool)
    assert len(events) == rows > 0
    assert {type(event) for event in events} == {ExecutionRecorded}


def test_there_are_four_examples():
    assert len(EXAMPLES) == 4
