"""A publication in a directory of its own, beside the one that readers of a home have."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orb_learning._database import wal
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.publication import adopt, moment_of
from orb_learning.refresh import OnNode, Refresher, RefreshReport
from orb_learning.upkeep._intake import take_in

BUILDING = ".building"
"""The home in which the publication is made; it is deleted at the end."""

_OURS = {
    *(BUILDING, "published", "learning.db", ".learning.db-new"),
    *("refresh.lock", "refresh.turn", "refresh.pid"),
}
"""What a call leaves in the directory, or leaves there when it is killed."""


def refresh_into(
    home: Home,
    into: Path,
    *,
    as_of: str | None = None,
    project: Path | None = None,
    on_progress: OnNode | None = None,
) -> RefreshReport:
    """Load, build from a copy of staging, test, and publish into a directory.

    The home's warehouse and publication are left alone, and its lock is held for the load and the
    copy only. The directory can be opened as a home. A publication that an earlier call made there
    is replaced. What is erased later stays in it: delete it, or make it again.

    Args:
        home: whose events.
        into: a directory outside the home that is new, empty, or of an earlier call.
        as_of: see `Refresher.refresh`.
        project: see `Refresher`.
        on_progress: see `Refresher.refresh`.

    Returns:
        what was published there.

    Raises:
        HomeError: the directory holds something else, or cannot be written.
        BusyError, HomeError, MigrationError: see `load`.
        RefreshError, ProjectError: see `Refresher.refresh`.
    """
    if as_of is not None:
        moment_of(as_of)  # refused before anything is loaded
    target = Home.locate(into)
    _refuse_unless_free(home, target)
    with target.locked():
        _refuse_unless_free(home, target)  # another call may have come first
        with _building(home, target) as making:
            report = Refresher(making.root, project).refresh(as_of=as_of, on_progress=on_progress)
            adopt(target, making.current.resolve())
    return report


def _refuse_unless_free(home: Home, target: Home) -> None:
    root = target.root.resolve()
    if root.is_relative_to(home.root.resolve()):
        raise HomeError(f"{target.root} is the home's own; name a directory outside")
    try:
        held = {entry.name for entry in root.iterdir()} if root.exists() else set()
        if not any(target.spool.glob("*")):
            held.discard(target.spool.name)
    except OSError as error:
        raise HomeError(f"cannot use {target.root}: {error.strerror}; name another") from error
    if others := sorted(held - _OURS):
        raise HomeError(
            f"{target.root} holds {others[0]}, which is no publication made beside a home; "
            "name a directory that is new or empty"
        )


@contextmanager
def _building(home: Home, target: Home) -> Iterator[Home]:
    """Yield a home with a copy of another's staging and, in place, its vectors."""
    making = Home(target.root / BUILDING)
    shutil.rmtree(making.root, ignore_errors=True)  # of a call that was killed
    try:
        making.create()
        with home.locked():
            take_in(home)
            for file in (home.staging, wal(home.staging)):
                if file.exists():
                    shutil.copyfile(file, making.root / file.name)
        if home.embeddings.exists():
            making.embeddings.symlink_to(home.embeddings.resolve())
        yield making
    except OSError as error:
        raise HomeError(f"cannot publish into {target.root}: {error}") from error
    finally:
        shutil.rmtree(making.root, ignore_errors=True)
