"""`orb-learning recommend`: an answer on one screen, and what it rests on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from orb_learning.cli._app import app


@pytest.fixture
def ask(advised: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "80")

    def ask(*arguments: object, home: Path = advised) -> str:
        ran = CliRunner().invoke(app, ["--home", str(home), "recommend", *map(str, arguments)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    return ask


def test_the_answer_is_a_sentence_beside_the_reference(ask: Callable[..., str]) -> None:
    first, second, *_ = ask("bug_fix", "--repo", "acme/api").splitlines()
    assert re.fullmatch(r"Try small, then large: \d\d % ± \d+ for [\d.]+ USD a task\.", first)
    assert re.fullmatch(r"The reference, large alone: \d\d % ± \d+ for [\d.]+ USD a task\.", second)


def test_the_arms_stand_in_a_table_with_what_is_known_of_them(ask: Callable[..., str]) -> None:
    shown = ask("bug_fix")
    row = next(line for line in shown.splitlines() if line.startswith("large "))
    assert re.fullmatch(r"large +\d+% \(\d+ to \d+\) +[\d.]+ \([\d.]+ to [\d.]+\) +80 +80 *", row)
    assert next(line for line in shown.splitlines() if line.startswith("new ")).endswith("too few")


def test_it_says_what_would_change_the_answer(ask: Callable[..., str]) -> None:
    shown = ask("bug_fix")
    assert re.search(r"If a success is worth 1 USD: small\.", shown)
    assert "value=40" in shown


def test_a_worth_of_ones_own_changes_the_answer(ask: Callable[..., str]) -> None:
    assert ask("bug_fix", "--value", 1).startswith("Try small:")


def test_only_arms_that_can_be_used_are_named(ask: Callable[..., str]) -> None:
    assert ask("bug_fix", "--arm", "large").startswith("Try large:")


def test_no_line_is_wider_than_the_screen_and_host_text_commands_nothing(
    ask: Callable[..., str],
) -> None:
    for kind in ("bug_fix", "docs\x1b[31m", "unheard of " * 12):
        shown = ask(kind, "--repo", "\x1b[2Jacme")
        assert "\x1b" not in shown
        assert max(cell_len(line) for line in shown.splitlines()) <= 80


def test_what_nobody_knows_is_answered_from_the_level_above(ask: Callable[..., str]) -> None:
    shown = " ".join(ask("cooking").split())
    assert "nothing is known of cooking, so this is of all runs" in shown


def test_json_has_all_of_it(ask: Callable[..., str]) -> None:
    told: dict[str, Any] = json.loads(ask("bug_fix", "--json"))
    assert told["escalation"]["arms"] == ["small", "large"]
    assert told["recommendation"]["arm"] in {"small", "large"}
    assert {arm["arm"] for arm in told["arms"]} == {"small", "large", "new"}


def test_to_abstain_is_an_answer(ask: Callable[..., str], tmp_path: Path) -> None:
    assert ask("bug_fix", home=tmp_path / "new").startswith("No answer yet: nothing is published")
    told = json.loads(ask("bug_fix", "--json", home=tmp_path / "new"))
    assert (told["recommendation"]["arm"], told["escalation"]["arms"]) == (None, [])
