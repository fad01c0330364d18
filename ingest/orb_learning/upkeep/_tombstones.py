"""Tombstones: asking for an erasure, and what is known of those that were asked for.

A tombstone is an event that names its subject by the hash of the id.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from orb_learning._database import connect
from orb_learning._types import pseudonym, subject_hash, task_uuid, uuid_text_differs
from orb_learning.capture import Recorder
from orb_learning.errors import InvalidEventError, OrbLearningError
from orb_learning.events import Event, TaskErased, UserErased, describe
from orb_learning.home import Home
from orb_learning.staging import Erased


def request_erasure(
    home: Home, *, tasks: Sequence[str] = (), users: Sequence[str] = (), reason: str | None = None
) -> int:
    """Write the tombstones of tasks and users to the spool; the next refresh erases them.

    Args:
        home: whose data.
        tasks: UUIDs, or the host's own references. An execution's id that is a later attempt's
            stands for its whole task where the current publication knows it.
        users: the ids of users, as events spell them in `user_id`.
        reason: kept with the tombstone; it must not name the subject.

    Raises:
        InvalidEventError: nothing was named, or an id is empty.
        SpoolWriteError: the spool refused a tombstone.
    """
    for what, ids in (("task", tasks), ("user", users)):
        for identity in ids:
            if not identity.strip():
                raise InvalidEventError(f"cannot erase a {what} without an id")
            if not _is_text(identity):
                raise InvalidEventError(f"cannot erase the {what} {identity!r}: it is no text")
    if not (tasks or users):
        raise InvalidEventError("nothing to erase: name a task or a user")
    try:
        tombstones: list[Event] = [TaskErased.of(_whole_task(home, task), reason) for task in tasks]
        # An event of no task may have a host's own reference in its metadata, as it is.
        tombstones += [
            TaskErased(task_hash=subject_hash(task.lower()), reason=reason)
            for task in tasks
            if uuid_text_differs(task, task_uuid(task))
        ]
        for user in users:
            # An id that the hooks masked, such as an e-mail address, was written as its pseudonym.
            tombstones += [UserErased.of(name, reason) for name in (user, pseudonym(user))]
    except ValidationError as error:
        raise InvalidEventError(f"cannot erase: {describe(error)}") from error
    _tell(home, tombstones)
    return len(tasks) + len(users)


def tell_again(home: Home, erased: Erased) -> None:
    """Write tombstones of what was erased before, for a staging that will not know of it."""
    _tell(
        home,
        [
            TaskErased(task_hash=value) if subject == "task" else UserErased(user_hash=value)
            for subject, value in sorted(erased)
        ],
    )


def _tell(home: Home, tombstones: Sequence[Event]) -> None:
    if tombstones:
        home.create()
        with Recorder(home.root, strict=True) as recorder:
            for tombstone in tombstones:
                recorder.record(Event, tombstone, {})


def _is_text(identity: str) -> bool:
    try:
        identity.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole_task(home: Home, task: str) -> str:
    import duckdb

    task_id = str(task_uuid(task))
    try:
        with connect(home.learning_db, read_only=True) as published:
            found = published.execute(
                "select coalesce(parent_task_id, task_id) from executions where task_id = ?",
                [task_id],
            ).fetchone()
    except (duckdb.Error, OrbLearningError):
        found = None
    return str(found[0]) if found else task_id
