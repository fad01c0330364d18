"""Crash points: places where a test may end the process as `kill -9` does.

`ORB_LEARNING_CRASH_AT=publish.renamed` ends the process when it first reaches that point, and
`load.committed:3` when it reaches that one for the third time. Unset, a point costs a
comparison of two texts, and none stands in the hooks.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

CRASH_VARIABLE = "ORB_LEARNING_CRASH_AT"

POINTS = (
    "load.opened",
    "load.read",
    "load.begun",
    "load.inserted",
    "load.noted",
    "load.blanked",
    "load.committed",
    "load.completed",
    "erase.checkpointed",
    "erase.blanked",
    "erase.dropped",
    "erase.applied",
    "warehouse.copied",
    "refresh.loaded",
    "refresh.built",
    "publish.copied",
    "publish.verified",
    "publish.synced",
    "publish.renamed",
    "publish.current",
    "publish.swapped",
    "publish.pruned",
)
"""Every point there is, in the order in which a refresh reaches them."""


@dataclass(slots=True)
class _Death:
    """Where this process dies: at the last of so many passes of a point."""

    point: str = ""
    passes_left: int = 0


_death = _Death()


def arm(where: str) -> None:
    """Choose where this process dies, as `point` or `point:count`; an empty text disarms.

    Raises:
        ValueError: there is no such point.
    """
    point, _, count = where.partition(":")
    if point and point not in POINTS:
        raise ValueError(f"{CRASH_VARIABLE} names no crash point: {point!r}")
    _death.point, _death.passes_left = point, int(count or 1)


def crash_point(name: str) -> None:
    """Die here if a test wants it."""
    if _death.point == name:
        _death.passes_left -= 1
        if not _death.passes_left:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(CRASH_VARIABLE, ""))
