"""The publication: the read-only copy of the warehouse that everybody reads."""

from orb_learning.publication._manifest import (
    DATABASE,
    MANIFEST,
    Publication,
    current,
    manifest_of,
)
from orb_learning.publication._publish import Companion, publish
from orb_learning.publication._swap import KEPT, delete_older
from orb_learning.publication._update import CannotUpdateError, Keyed

__all__ = [
    "DATABASE",
    "KEPT",
    "MANIFEST",
    "CannotUpdateError",
    "Companion",
    "Keyed",
    "Publication",
    "current",
    "delete_older",
    "manifest_of",
    "publish",
]
