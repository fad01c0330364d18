"""Discarding lines in quarantine that nobody will mend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from orb_learning._database import transaction
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.spool import Span, blank_segment
from orb_learning.staging import Refused, note_removal, open_staging, refused_lines

logger = logging.getLogger("orb_learning.staging")


def in_quarantine(
    home: Home,
    *,
    ids: Sequence[UUID] = (),
    reason: str | None = None,
    import_id: str | None = None,
) -> list[Refused]:
    """Return the lines in quarantine that all of these are true of.

    Args:
        home: whose quarantine.
        ids: these lines; empty for any.
        reason: a text in their reason, whatever its case; None for any.
        import_id: only what this import refused; None for any.

    Raises:
        HomeError: an id is not in quarantine; or see `load`.
        BusyError, MigrationError: see `load`.
    """
    if not home.staging.exists():
        return []
    with open_staging(home) as connection:
        held = list(refused_lines(connection))
    if missing := set(ids) - {line.quarantine_id for line in held}:
        raise HomeError(f"{min(missing)} is not in quarantine; see `orb-learning quarantine list`")
    return [
        line
        for line in held
        if (not ids or line.quarantine_id in ids)
        and (reason is None or reason.casefold() in line.reason.casefold())
        and import_id in (None, line.import_id)
    ]


def discard(home: Home, lines: Sequence[Refused]) -> int:
    """Take lines out of quarantine for good; return how many.

    In the spool they are overwritten with blanks, so that no rebuild brings them back.

    Raises:
        BusyError, HomeError, MigrationError: see `load`.
    """
    spans: dict[str, list[Span]] = {}
    for line in lines:
        spans.setdefault(line.segment, []).append((line.offset, line.length))
    with open_staging(home) as connection:
        for name, places in spans.items():
            if not blank_segment(home.spool / name, 0, places, lambda _: False):
                logger.warning("a `migrate reset` brings back what was discarded of %s", name)
        with transaction(connection):
            ((count,),) = connection.execute(
                "delete from ledger.quarantine where quarantine_id in (select unnest($1))",
                [[line.quarantine_id for line in lines]],
            ).fetchall()
            if count:
                note_removal(connection, "ledger.quarantine", count, "discard")
    return int(count)
