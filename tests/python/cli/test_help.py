"""What help and documentation say of the commands, and what a shell completes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from commands import COMMANDS, ROOT
from orb_learning.cli._app import PANELS

ROOT_FOLDER = Path(__file__).parents[3]
LIST = ROOT_FOLDER / "docs" / "commands.md"
PAGES = (ROOT_FOLDER / "README.md", *sorted((ROOT_FOLDER / "docs").glob("*.md")))
NAMES = [" ".join(path) for path in COMMANDS]


def test_the_list_of_commands_has_each_of_them_once_and_no_other():
    rows = re.findall(
        r"^\| `orb-learning ([a-z ]+?)(?: [^a-z`][^`]*)?` \| \S", LIST.read_text(), re.M
    )
    assert sorted(rows) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_what_it_does_shows_how_and_is_documented(name):
    description, *_, example = COMMANDS[tuple(name.split())].help.strip().splitlines()
    assert re.fullmatch(r"[A-Z].{10,}\.", description)
    assert example.startswith(f"`orb-learning {name}")
    named = re.compile(rf"orb-learning(?: --home \S+)? {name}(?![a-z-])")
    assert any(named.search(page.read_text()) for page in PAGES)


def test_help_groups_the_commands(run):
    titles = re.findall(r"^╭─ (.*?) ─", run("--help").out, re.M)
    assert titles == ["Options", *PANELS]
    assert {command.rich_help_panel for command in ROOT.commands.values()} == set(PANELS)


def test_the_list_of_commands_is_grouped_as_the_help_is():
    assert re.findall(r"^\| \*\*(.*)\*\* \|", LIST.read_text(), re.M) == list(PANELS)


def test_a_shell_completes_commands_and_options():
    def completed(words: str) -> list[str]:
        asked = {
            "_ORB_LEARNING_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        program = (
            "import sys; sys.argv[0] = 'orb-learning'; from orb_learning.cli import main; main()"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return ended.stdout.split()

    assert completed("orb-learning re") == ["refresh", "report", "recommend", "restore"]
    assert completed("orb-learning imports u") == ["undo"]
    assert completed("orb-learning load --js") == ["--json"]
