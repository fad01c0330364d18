"""The dbt project: found from wherever one stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from orb_learning.errors import ProjectError
from orb_learning.refresh import _project, locate_project, retention_days
from orb_learning.refresh._project import PROJECT_VARIABLE

CHECKOUT = Path(_project.__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv(PROJECT_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)


def make_project(folder: Path, text: str = "name: orb_learning\nversion: '1'\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text(text)
    return folder


def test_the_environment_wins(monkeypatch, tmp_path):
    chosen = make_project(tmp_path / "chosen")
    make_project(tmp_path)
    monkeypatch.setenv(PROJECT_VARIABLE, "chosen")
    assert locate_project() == chosen


def test_the_environment_may_be_relative_to_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(PROJECT_VARIABLE, "~/chosen")
    chosen = make_project(tmp_path / "chosen")
    assert locate_project() == chosen


@pytest.mark.parametrize("chosen", ["empty", "absent"])
def test_an_environment_that_names_no_project_is_an_error(monkeypatch, tmp_path, chosen):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(PROJECT_VARIABLE, chosen)
    with pytest.raises(ProjectError) as caught:
        locate_project()
    assert str(caught.value) == f"{PROJECT_VARIABLE}={chosen} holds no dbt project of orb-learning"


def test_a_project_of_a_user_who_is_none_and_a_current_directory_that_is_gone_are_one_line(
    monkeypatch, tmp_path
):
    monkeypatch.setenv(PROJECT_VARIABLE, "~no-such-user")
    with pytest.raises(ProjectError, match="ORB_LEARNING_PROJECT ~no-such-user: there is no such"):
        locate_project()
    monkeypatch.chdir(make_project(tmp_path / "gone"))
    (tmp_path / "gone" / "dbt_project.yml").unlink()
    (tmp_path / "gone").rmdir()
    with pytest.raises(ProjectError, match="the current directory is gone, and dbt needs one"):
        locate_project()


def test_the_folder_one_stands_in_or_one_above_it_comes_next(monkeypatch, tmp_path):
    found = make_project(tmp_path / "checkout")
    deep = found / "models" / "marts"
    deep.mkdir(parents=True)
    for folder in (found, deep):
        monkeypatch.chdir(folder)
        assert locate_project() == found


@pytest.mark.parametrize(
    "text", ["name: another", "name: orb_learning_too", "# name: orb_learning", ""]
)
def test_another_project_is_passed_over(tmp_path, text):
    make_project(tmp_path, text)
    assert locate_project() == CHECKOUT


def test_elsewhere_it_is_the_checkout_that_the_package_runs_from():
    assert locate_project() == CHECKOUT


def test_in_an_installation_it_is_the_copy_beside_the_package(monkeypatch, tmp_path):
    package = tmp_path / "lib" / "site-packages" / "orb_learning"
    monkeypatch.setattr(_project, "_PACKAGE", package)
    copy = make_project(package / "project")
    assert locate_project() == copy


def test_without_any_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(_project, "_PACKAGE", tmp_path / "lib" / "orb_learning")
    with pytest.raises(ProjectError) as caught:
        locate_project()
    assert str(caught.value) == (
        f"no dbt project found; run from a checkout of orb-learning or set {PROJECT_VARIABLE}"
    )


def test_retention_comes_from_the_projects_vars(tmp_path, monkeypatch):
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    project = tmp_path / "dbt_project.yml"
    project.write_text("name: orb_learning\nvars:\n  raw_retention_days: 365  # a year\n")
    assert retention_days() == (365, 90)
    project.write_text(
        "name: orb_learning\nvars:\n  derived_retention_days: 30\n  raw_retention_days: 365\n"
    )
    assert retention_days() == (365, 30)
    project.write_text("name: orb_learning\nvars:\n  derived_retention_days: soon\n")
    with pytest.raises(ProjectError, match=r"derived_retention_days in .* not soon"):
        retention_days()
