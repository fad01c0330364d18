"""Taking in what the spool holds: load it, then apply the erasures it asks for."""

from __future__ import annotations

from collections.abc import Callable

from orb_learning.home import Home
from orb_learning.staging import LoadReport, load, open_staging
from orb_learning.upkeep import _erasure


def take_in(
    home: Home,
    on_progress: Callable[[int], None] | None = None,
    on_share: Callable[[int, int], None] | None = None,
) -> LoadReport:
    """Load the spool, and take out of every store what was asked to be erased.

    Args:
        home: the home whose spool is read.
        on_progress: called after each load with the number of lines it took.
        on_share: see `load`.

    Raises:
        BusyError, HomeError, MigrationError: see `load`.
    """
    with home.locked():
        report = load(home, on_progress, on_share)
        if report.must_erase:
            with open_staging(home) as connection:
                blanked = _erasure.blank(connection, home)
            _erasure.finish(home, blanked)
    return report
