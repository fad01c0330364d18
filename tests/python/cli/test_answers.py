"""`orb-learning report`: what to use, how things go and what is stale, on one screen."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from orb_learning.cli._app import app

WEEKS = 8


@pytest.fixture
def report(advised: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "80")

    def report(*arguments: object) -> str:
        ran = CliRunner().invoke(app, ["--home", str(advised), "report", *map(str, arguments)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    return report


def test_a_report_opens_with_what_to_try_for_each_kind_of_task(report: Callable[..., str]) -> None:
    shown = report()
    answers = re.findall(
        r"^(\S+): try small, then large: \d+ % ± \d+ for [\d.]+ USD a$", shown, re.MULTILINE
    ) + re.findall(r"^(\S+): try small, then large: .* task$", shown, re.MULTILINE)
    assert sorted(answers) == ["bug_fix", "docs\\x1b[31m"]
    assert len(shown.splitlines()) <= 24
    assert max(map(cell_len, shown.splitlines())) <= 80


def test_each_arm_has_its_figures_and_its_weeks(report: Callable[..., str]) -> None:
    shown = report("--task-type", "bug_fix")
    small, large, new = (
        next(line for line in shown.splitlines() if line.startswith(f"{arm} "))
        for arm in ("small", "large", "new")
    )
    for line, runs in ((small, 80), (large, 80), (new, 2)):
        found = re.fullmatch(
            rf"\w+ +\d+% \(\d+ to \d+\) +[\d.]+ \([\d.]+ to [\d.]+\) +{runs} ([ ▁▂▃▄▅▆▇█]+)", line
        )
        assert found, line
        assert len(found[1].rstrip()) in {WEEKS - 1, WEEKS}
    assert "docs" not in shown


def test_where_there_is_no_answer_it_says_how_many_runs_are_missing(
    report: Callable[..., str],
) -> None:
    shown = report("--tier", "new")
    assert "bug_fix: not enough data: about 7 more runs of one arm" in shown
    assert "small" not in shown


def test_of_a_repository_that_nobody_knows_nothing_is_said(report: Callable[..., str]) -> None:
    shown = report("--repo", "acme/other")
    assert "Nothing of that is known" in shown
    assert "0 runs (0), success - (-), USD a run - (-), quality - (-)" in " ".join(shown.split())


def test_more_kinds_of_task_are_counted(report: Callable[..., str]) -> None:
    shown = report("--limit", 1)
    assert "1 more kinds of task: --limit or --task-type" in shown
    assert "docs" not in shown


def test_where_output_is_ascii_weeks_are_digits(advised: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    ran = subprocess.run(
        [sys.executable, "-m", "orb_learning", "--home", str(advised), "report"],
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b"")
    shown = ran.stdout.decode("ascii")
    assert "+/-" in shown
    assert re.search(r"^large .* 80 +[0-9]+$", shown, re.MULTILINE)


def test_an_answer_in_markdown_is_text_and_nothing_else(report: Callable[..., str]) -> None:
    shown = report("--format", "markdown")
    assert "| docs\\\\x1b\\[31m: try small, then large: " in shown
    assert "| --- | --- | --- | --- | --- |" in shown


def test_the_answers_in_json_are_those_of_the_recommender(
    report: Callable[..., str], advised: Path
) -> None:
    overview = json.loads(report("--format", "json"))["overview"]
    with_kinds = {answer["task_type"]: answer for answer in overview["answers"]}
    ran = CliRunner().invoke(
        app, ["--home", str(advised), "recommend", "bug_fix", "--json"], catch_exceptions=False
    )
    advice = json.loads(ran.stdout)
    assert with_kinds["bug_fix"]["plan"] == advice["escalation"]
    assert with_kinds["bug_fix"]["single"] == advice["recommendation"]
    assert overview["now"]["executions"] == 120 * 2 + 3
