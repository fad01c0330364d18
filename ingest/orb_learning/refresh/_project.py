"""Where the dbt project is: the checkout one stands in, or the copy in an installation."""

from __future__ import annotations

import os
import re
from pathlib import Path

from orb_learning.errors import HomeError, ProjectError
from orb_learning.home import absolute

PROJECT_VARIABLE = "ORB_LEARNING_PROJECT"

_PACKAGE = Path(__file__).resolve().parent.parent


def locate_project() -> Path:
    """Return the directory that holds this project's `dbt_project.yml`.

    $ORB_LEARNING_PROJECT wins; then the current directory or one above it; then the checkout the
    package runs from; then the copy inside an installed wheel.

    Raises:
        ProjectError: there is none, or $ORB_LEARNING_PROJECT names a directory without one; or the
            current directory, without which dbt does nothing, is gone.
    """
    try:
        here = Path.cwd()
    except OSError as error:
        raise ProjectError("the current directory is gone, and dbt needs one; change it") from error
    if chosen := os.environ.get(PROJECT_VARIABLE):
        try:
            directory = absolute(chosen, PROJECT_VARIABLE).resolve()
        except HomeError as error:
            raise ProjectError(str(error)) from error
        if not _is_project(directory):
            raise ProjectError(f"{PROJECT_VARIABLE}={chosen} holds no dbt project of orb-learning")
        return directory
    for directory in (here, *here.parents, _PACKAGE.parent.parent, _PACKAGE / "project"):
        if _is_project(directory):
            return directory
    raise ProjectError(
        f"no dbt project found; run from a checkout of orb-learning or set {PROJECT_VARIABLE}"
    )


def retention_days() -> tuple[int, int]:
    """Return the project's vars `raw_retention_days` and `derived_retention_days`.

    Raises:
        ProjectError: see `locate_project`; or one of them is no whole number from 0 on.
    """
    project = locate_project()
    text = (project / "dbt_project.yml").read_text(encoding="utf-8")
    found = []
    for name in ("raw_retention_days", "derived_retention_days"):
        match = re.search(rf"(?m)^ *{name}: *(\S+) *(?:#.*)?$", text)
        value = match[1] if match else "90"
        if not value.isdecimal():
            raise ProjectError(
                f"{name} in {project}/dbt_project.yml must be days from 0 on, not {value}"
            )
        found.append(int(value))
    return found[0], found[1]


def _is_project(directory: Path) -> bool:
    try:
        text = (directory / "dbt_project.yml").read_text(encoding="utf-8")
    except OSError:
        return False
    return "name: orb_learning" in text.splitlines()
