"""The plugin in a dbt project that is not ours, or on a path that is no home, leaves no trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from dbt.adapters.duckdb.credentials import Attachment, DuckDBCredentials
from dbt_common.exceptions import DbtRuntimeError

from orb_learning.dbt_plugin import home_of

DBT = Path(sys.executable).with_name("dbt")
PROJECT = Path(__file__).parents[3]

PROFILE = """
theirs:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: "{path}"
      attach: [{{path: "{staging}", alias: staging, read_only: true}}]
      plugins: [{{module: orb_learning.dbt_plugin, alias: orb_learning}}]
"""
NO_PATH_OF_A_HOME = "it must be <home>/warehouse.duckdb, with <home>/staging.duckdb attached"


def dbt(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DBT, *arguments, "--profiles-dir", project],
        cwd=project,
        env={**os.environ, "DBT_USE_COLORS": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def left_in(folder: Path) -> set[str]:
    """Return what lies there, without what dbt itself always writes."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if name.split("/")[0] not in ("target", "logs", ".user.yml")}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    project = tmp_path / "theirs"
    (project / "models").mkdir(parents=True)
    (project / "models" / "numbers.sql").write_text("select 1 as number")
    (project / "dbt_project.yml").write_text("name: theirs\nprofile: theirs\n")
    return project


@pytest.mark.parametrize("command", ["run", "show --inline select+1"])
def test_a_project_without_our_models_is_refused_and_left_as_it_was(theirs, command):
    home = theirs / "data"
    profile = PROFILE.format(path=home / "warehouse.duckdb", staging=home / "staging.duckdb")
    (theirs / "profiles.yml").write_text(profile)
    before = left_in(theirs)

    ended = dbt(theirs, *(word.replace("+", " ") for word in command.split()))

    assert ended.returncode != 0
    assert "take the plugin orb_learning.dbt_plugin out of its profile" in ended.stdout
    assert left_in(theirs) == before


def test_our_project_on_a_path_that_is_no_home_leaves_it_as_it_was(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    for name in ("dbt_project.yml", "selectors.yml", "macros", "models", "seeds"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project / name)
    profile = PROFILE.format(path="dev.duckdb", staging="staging.duckdb")
    (project / "profiles.yml").write_text(profile.replace("theirs:", "orb_learning:"))
    before = left_in(project)

    ended = dbt(project, "run")

    assert ended.returncode != 0
    assert NO_PATH_OF_A_HOME in " ".join(ended.stdout.split())
    assert left_in(project) == before


def credentials(path: object, staging: object) -> DuckDBCredentials:
    attached = [Attachment(path=str(staging), alias="staging")]
    return DuckDBCredentials(database="x", schema="main", path=str(path), attach=attached)


@pytest.mark.parametrize(
    ("path", "staging"),
    [
        ("home/dev.duckdb", "home/staging.duckdb"),
        (":memory:", "staging.duckdb"),
        ("md:warehouse.duckdb", "staging.duckdb"),
        ("s3://bucket/warehouse.duckdb", "s3://bucket/staging.duckdb"),
        ("home/warehouse.duckdb", "other/staging.duckdb"),
    ],
)
def test_a_path_that_no_home_has_is_refused(tmp_path, monkeypatch, path, staging):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DbtRuntimeError, match=NO_PATH_OF_A_HOME):
        home_of(SimpleNamespace(path=path, attach=credentials("x", staging).attach))


@pytest.mark.parametrize("foreign", ["warehouse.duckdb", "dbt_project.yml"])
def test_a_directory_that_holds_other_things_is_refused_until_it_is_a_home(home, foreign):
    home.root.mkdir(mode=0o700)
    (home.root / foreign).write_bytes(b"somebody's own")
    profile = credentials(home.warehouse, home.staging)
    with pytest.raises(DbtRuntimeError, match="holds other things: name another directory"):
        home_of(profile)
    assert [path.name for path in home.root.iterdir()] == [foreign]
    home.create()
    assert home_of(profile) == home


def test_a_home_is_new_or_used_and_named_by_any_path(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert home_of(credentials(home.warehouse, home.staging)) == home
    relative = os.path.relpath(home.root)
    assert home_of(credentials(f"{relative}/warehouse.duckdb", home.staging)) == home
    home.create()
    assert home_of(credentials(home.warehouse, f"./{relative}/staging.duckdb")) == home
