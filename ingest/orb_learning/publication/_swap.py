"""Making a publication current by one rename, and deleting those that no reader needs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from orb_learning._faults import crash_point
from orb_learning._files import replacing, sync
from orb_learning.errors import HomeError, NotPublishedError
from orb_learning.home import Home
from orb_learning.publication._manifest import DATABASE, Publication, manifest_of

_IDENTITY = re.compile(r"\.?\d{8}T\d{12}-[0-9a-f]{4}")
"""Names of publications; of those still being made with a dot in front."""

KEPT = 3
"""Publications that stay, the current one included, for readers that still hold an older one."""


def refuse_foreign_files(home: Home) -> None:
    for link in (home.current, home.learning_db):
        if link.exists() and not link.is_symlink():
            raise HomeError(f"{link} is not the link that publishing makes; move it away")


def link(home: Home) -> None:
    """Make the fixed link that readers know, where it is gone or leads elsewhere."""
    target = home.current.relative_to(home.root) / DATABASE
    if not home.learning_db.is_symlink() or home.learning_db.readlink() != target:
        _replace_link(home.learning_db, target)


def swap(home: Home, identity: str) -> None:
    # The fixed link first: made for the first publication, it leads nowhere until the swap, and a
    # kill in between leaves nothing that is published in one place and not in the other.
    link(home)
    _replace_link(home.current, identity)
    crash_point("publish.current")
    sync(home.published)
    sync(home.root)


def adopt(home: Home, folder: Path) -> None:
    """Make a whole publication of another home, on the same file system, the only one of this."""
    refuse_foreign_files(home)
    folder.rename(home.published / folder.name)
    sync(home.published)
    swap(home, folder.name)
    delete_older(home)


def _replace_link(link: Path, target: str | Path) -> None:
    with replacing(link) as fresh:
        fresh.symlink_to(target)


def delete_older(home: Home) -> int:
    """Delete every publication but the one in force, and return how many there were.

    A reader that has one of them open goes on reading it.
    """
    try:
        current_id = home.current.readlink().name
    except OSError:
        return 0
    older = [
        entry
        for entry in home.published.iterdir()
        if _IDENTITY.fullmatch(entry.name) and entry.name != current_id
    ]
    for folder in older:
        shutil.rmtree(folder, ignore_errors=True)
    return len(older)


def _reflects(folder: Path, load_id: int) -> bool:
    """Tell whether a publication was made from this load or a later one."""
    try:
        return manifest_of(folder).load_id >= load_id
    except NotPublishedError:
        return False


def _finished(home: Home) -> list[Path]:
    """Return the publications that there are, the oldest first."""
    names = sorted(entry.name for entry in home.published.iterdir())
    return [
        home.published / name
        for name in names
        if _IDENTITY.fullmatch(name) and not name.startswith(".")
    ]


def prune(home: Home, standing: Publication, erased_by: int) -> None:
    """Delete the oldest publications, what knows of something erased, and what was never finished.

    After a restore load ids begin lower again, so where anything was ever erased only publications
    of the same tables can be judged by theirs.
    """
    finished = _finished(home)
    outdated = [
        folder
        for folder in finished
        if not _reflects(folder, erased_by)
        or (erased_by and manifest_of(folder).lineage != standing.lineage)
    ]
    abandoned = [entry for entry in home.published.glob(".*") if _IDENTITY.fullmatch(entry.name)]
    for folder in {*finished[:-KEPT], *outdated, *abandoned} - {home.published / standing.id}:
        shutil.rmtree(folder, ignore_errors=True)
    for link in (home.current, home.learning_db):
        for left in link.parent.glob(f".{link.name}-*"):
            if left.is_symlink():
                left.unlink(missing_ok=True)
