"""dbt's own command line on our project and one home, from wherever one stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from orb_learning.errors import ProjectError
from orb_learning.home import HOME_VARIABLE, Home
from orb_learning.refresh._project import locate_project

PROGRAM = "orb-learning dbt"

TARGET_VARIABLE = "ORB_LEARNING_TARGET"
"""What `dbt clean` removes: `clean-targets` in `dbt_project.yml`."""

TARGET_OPTION = "--target-path"

_ONLY_SAYS = {"--help", "-h", "--version", "-V", "-v"}


def require_dbt() -> None:
    """Make sure that dbt can be imported, before anything is done that needs it.

    Raises:
        ProjectError: it is not installed.
    """
    try:
        import dbt.adapters.duckdb.connections
        import dbt.cli.main  # noqa: F401 - what is asked is whether it can be
    except ImportError as error:
        raise ProjectError(
            f"dbt is not installed ({error.name}); run: pip install 'orb-learning[dbt]'"
        ) from error


def make_folders(home: Home) -> None:
    """Make the home and the folders that dbt writes to, private to their owner.

    Raises:
        HomeError: they cannot be made.
    """
    home.create()
    for folder in (home.target, home.logs):
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, and give back what they were."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_dbt(home: Home, arguments: Sequence[str]) -> int:
    """Run one dbt command as dbt's own program does, and return its exit code.

    What dbt writes goes to the home, and what an option names wins over that. dbt's variables for
    these paths are overruled: they are of another project, and relative ones would be looked for
    in the installed package.

    Args:
        home: the home that it runs on; made where the command does more than say something.
        arguments: what stands behind `dbt`, as it is.

    Raises:
        ProjectError: dbt is not installed, there is no project, the command would write into the
            project's folder, or it is about what nothing has built yet.
        HomeError: the home cannot be made or written.
    """
    require_dbt()
    project = locate_project()
    _refuse_what_cannot_work(home, arguments)
    if arguments and not _ONLY_SAYS.intersection(arguments):
        make_folders(home)
    from dbt.cli.main import cli

    ours = {
        HOME_VARIABLE: str(home.root),
        TARGET_VARIABLE: str(home.target),
        "DBT_ENGINE_PROJECT_DIR": str(project),
        "DBT_ENGINE_PROFILES_DIR": str(project),
        "DBT_ENGINE_TARGET_PATH": str(home.target),
        "DBT_ENGINE_LOG_PATH": str(home.logs),
        # The target is outside of the project, and all that is named to be cleaned.
        "DBT_ENGINE_CLEAN_PROJECT_FILES_ONLY": "false",
    }
    words = list(_from_here(arguments))
    given = sys.argv
    sys.argv = ["dbt", *words]  # dbt reads them a second time
    try:
        with environment(ours):
            cli(args=words, prog_name=PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.argv = given
    return 0


def _refuse_what_cannot_work(home: Home, arguments: Sequence[str]) -> None:
    words = [word for word in arguments if not word.startswith("-")]
    if not _ONLY_SAYS.intersection(arguments):
        for about, needed, remedy in (
            (["test"], home.warehouse, "dbt run"),
            (["docs", "serve"], home.target / "index.html", "dbt docs generate"),
        ):
            if words[: len(about)] == about and not needed.exists():
                raise ProjectError(
                    f"{home.root} has nothing for `dbt {' '.join(about)}` yet; run first: "
                    f"orb-learning {remedy}"
                )
    for word in arguments:
        if word.partition("=")[0] == "--home":
            raise ProjectError(
                "--home is no option of dbt; it stands before it: orb-learning --home DIR dbt ..."
            )
        if word == "init" or word.partition("=")[0] == "--add-package":
            raise ProjectError(
                f"`{PROGRAM}` runs orb-learning's own project, which {word} would change; for a "
                "project of your own run dbt itself, in its folder"
            )


def _from_here(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, with the one path that dbt would take from the project's folder on."""
    before = ""
    for word in arguments:
        name, is_given, path = word.partition("=")
        if before == TARGET_OPTION:
            yield str(Path(word).absolute())
        elif name == TARGET_OPTION and is_given:
            yield f"{name}={Path(path).absolute()}"
        else:
            yield word
        before = word
