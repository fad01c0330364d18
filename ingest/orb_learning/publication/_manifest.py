"""What a publication says of itself, and which one is in force."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orb_learning.errors import NotPublishedError
from orb_learning.home import Home

DATABASE = "learning.db"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication's manifest says.

    Attributes:
        id: names the publication and its directory.
        published_at: ISO 8601, UTC.
        as_of: the moment the marts' windows end, ISO 8601, UTC.
        load_id: the newest load it reflects.
        loaded_at: when that load was made, for a restored staging gives its number to another.
        rows: rows of each table.
        release: the release of orb-learning that made it.
        similarity: what there is for similarity search: `model`, `is_indexed`,
            `common_repo`, and the `version` of the vectors.
        lineage: what its large tables were copied from; see `_update.lineage`.
        fresh_bytes_per_row: size of the database when all of it was copied last, by its rows.
        written: size and time of the database's last write, by which damage is noticed.
    """

    id: str
    published_at: str
    as_of: str
    load_id: int
    rows: dict[str, int]
    release: str
    similarity: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, str] = field(default_factory=dict)
    fresh_bytes_per_row: float = 0.0
    written: str = ""
    loaded_at: str = ""


def current(home: Home) -> Publication:
    """Return the publication in force.

    Raises:
        NotPublishedError: there is none yet.
        HomeError: the home is another user's.
    """
    home.check_owner()
    try:
        return manifest_of(home.current)
    except NotPublishedError as error:
        is_new = "" if home.root.exists() else ", a new home: there is no such directory"
        raise NotPublishedError(
            f"nothing is published in {home.root} yet{is_new}; "
            "run `orb-learning refresh` or `dbt build`"
        ) from error


def manifest_of(folder: Path) -> Publication:
    """Return what a publication's manifest says.

    Raises:
        NotPublishedError: the folder holds no manifest that can be read.
    """
    try:
        said = json.loads((folder / MANIFEST).read_text())
        # A newer release may say more.
        known = {name: said[name] for name in Publication.__slots__ if name in said}
        publication = Publication(**known)
        texts, similarity = (publication.id, publication.as_of), publication.similarity
        if not (all(isinstance(text, str) for text in texts) and isinstance(similarity, dict)):
            raise TypeError("a manifest of another kind")
        return publication
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise NotPublishedError(f"{folder} holds no publication") from error
