"""What staging holds of tasks and users, before they are erased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES, Feedback
from orb_learning.staging._erasure import (
    is_refused_about,
    refused_lines,
    tasks_in,
    tasks_in_refused,
)
from orb_learning.staging._owners import Erased, is_about, other_users, parameters

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Found:
    """What goes with an erasure.

    Attributes:
        tasks: tasks that go whole.
        shared_tasks: of these, tasks whose events name another user, too.
        events: loaded events, feedback included.
        feedback: feedback on tasks that stay.
        quarantined: lines in quarantine.
    """

    tasks: int = 0
    shared_tasks: int = 0
    events: int = 0
    feedback: int = 0
    quarantined: int = 0

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.events or self.quarantined)


def find(connection: duckdb.DuckDBPyConnection, erased: Erased) -> Found:
    """Count what staging holds of subjects that are to be erased."""
    users = frozenset(one for one in erased if one[0] == "user")
    erased |= tasks_in(connection, "raw", EVENT_TYPES, users)
    for line in refused_lines(connection):
        erased |= tasks_in_refused(line.claimed_type, line.line, users)
    tasks: set[str] = set()
    shared: set[str] = set()
    events = feedback = 0
    for kind in EVENT_TYPES:
        table = f"raw.{kind}"
        compared = parameters(connection, table, kind, erased)
        about = f"from {table} where {is_about(kind)}"
        ((count,),) = connection.execute(f"select count(*) {about}", compared).fetchall()
        events += count
        if kind not in TASK_EVENT_TYPES or not count:
            continue
        whole = "sha256(cast(task_id as varchar)) in (select unnest($tasks))"
        ((alone,),) = connection.execute(
            f"select count(*) {about} and not {whole}", compared
        ).fetchall()
        feedback += alone
        tasks |= _ids(connection, f"{about} and {whole}", compared)
        if users and kind != Feedback.type_name:
            shared |= _ids(connection, f"{about} and {whole} and ({other_users(kind)})", compared)
    quarantined = sum(is_refused_about(line, erased) for line in refused_lines(connection))
    return Found(len(tasks), len(shared), events, feedback, quarantined)


def _ids(
    connection: duckdb.DuckDBPyConnection, rows: str, compared: dict[str, list[str]]
) -> set[str]:
    found = connection.execute(f"select distinct task_id {rows}", compared).fetchall()
    return {str(task) for (task,) in found}
