"""dbt's command line behind ours: what reaches it, and what does not."""

from __future__ import annotations

import os
import sys

import pytest
from dbt.cli.main import cli

from orb_learning.errors import HomeError, ProjectError
from orb_learning.refresh import locate_project, run_dbt


@pytest.fixture
def reached(monkeypatch, tmp_path):
    """Let dbt do nothing but note what reaches it."""
    calls = []

    def note(self, args, prog_name):
        ours = {name: value for name, value in os.environ.items() if "DBT_ENGINE" in name}
        calls.append((args, list(sys.argv), ours))
        sys.exit(3)

    monkeypatch.setattr(type(cli), "__call__", note)
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["build", "--select", "tasks+", "--vars", "{as_of: 2026-06-15}"],
        ["--quiet", "run", "--", "--help"],
        ["run", "-h", "--profiles-dir", "y"],
        ["run", "--target-path", "/elsewhere/target"],
        ["run", "--target-path"],
        [],
    ],
)
def test_what_stands_behind_dbt_reaches_it_as_it_is(reached, home, arguments):
    before, program = dict(os.environ), list(sys.argv)
    assert run_dbt(home, arguments) == 3
    ((args, argv, ours),) = reached
    assert (args, argv) == (arguments, ["dbt", *arguments])
    assert ours == {
        "DBT_ENGINE_PROJECT_DIR": str(locate_project()),
        "DBT_ENGINE_PROFILES_DIR": str(locate_project()),
        "DBT_ENGINE_TARGET_PATH": str(home.target),
        "DBT_ENGINE_LOG_PATH": str(home.logs),
        "DBT_ENGINE_CLEAN_PROJECT_FILES_ONLY": "false",
    }
    assert (dict(os.environ), sys.argv) == (before, program)


@pytest.mark.parametrize(
    "arguments", [["run", "--target-path", "out"], ["run", "--target-path=out"]]
)
def test_a_relative_target_is_where_one_stands_and_not_in_the_project(
    reached, home, tmp_path, arguments
):
    run_dbt(home, arguments)
    args = reached[0][0]
    assert " ".join(args).replace("=", " ") == f"run --target-path {tmp_path / 'out'}"


@pytest.mark.parametrize("arguments", [["init"], ["deps", "--add-package", "a/b@1"]])
def test_what_would_change_the_project_is_refused(reached, home, arguments):
    with pytest.raises(ProjectError, match="for a project of your own run dbt itself"):
        run_dbt(home, arguments)
    assert reached == []
    assert not home.root.exists()


@pytest.mark.parametrize("arguments", [["run", "--home", "x"], ["--home=x", "build"]])
def test_a_home_behind_dbt_is_refused_with_where_it_stands(reached, home, arguments):
    with pytest.raises(ProjectError, match="stands before it: orb-learning --home DIR dbt"):
        run_dbt(home, arguments)
    assert not reached
    assert not home.root.exists()


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["test"], "dbt run"),
        (["--quiet", "test", "--select", "tasks"], "dbt run"),
        (["docs", "serve", "--port", "8081"], "dbt docs generate"),
    ],
)
def test_what_nothing_has_built_yet_is_refused_with_what_builds_it(
    reached, home, arguments, remedy
):
    with pytest.raises(ProjectError, match=f"yet; run first: orb-learning {remedy}$"):
        run_dbt(home, arguments)
    assert not reached
    assert not home.root.exists()

    home.create()
    home.target.mkdir()
    for made in (home.warehouse, home.target / "index.html"):
        made.touch()
    assert run_dbt(home, arguments) == 3
    assert run_dbt(home, [*arguments, "--help"]) == 3


def test_what_is_only_said_makes_no_home(reached, home):
    for arguments in ([], ["--version"], ["run", "--help"]):
        run_dbt(home, arguments)
    assert not home.root.exists()


def test_a_home_that_others_may_write_is_refused(reached, home):
    home.create()
    home.root.chmod(0o777)
    with pytest.raises(HomeError, match="others may write"):
        run_dbt(home, ["parse"])
    assert not home.target.exists()
