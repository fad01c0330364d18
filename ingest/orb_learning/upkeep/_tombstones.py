"""Tombstones: asking for an erasure, and what is known of those that were asked for.

A tombstone is an event that names its subject by the hash of the id.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from orb_learning._database import connect
from orb_learning._types import (
    folded_user,
    pseudonym,
    subject_hash,
    task_uuid,
    uuid_text_differs,
)
from orb_learning.capture import Recorder
from orb_learning.errors import InvalidEventError, OrbLearningError
from orb_learning.events import Event, describe
from orb_learning.home import Home
from orb_learning.staging import TOMBSTONES, Erased, Found, find, open_staging
from orb_learning.upkeep._intake import take_in


def request_erasure(
    home: Home, *, tasks: Sequence[str] = (), users: Sequence[str] = (), reason: str | None = None
) -> int:
    """Write the tombstones of tasks and users to the spool; the next refresh erases them.

    A user's tasks go with them.

    Args:
        home: whose data.
        tasks: UUIDs, or the host's own references. An execution's id that is a later attempt's
            stands for its whole task where the current publication knows it.
        users: the ids of users, as events spell them in `user_id`; of e-mail addresses in any case.
        reason: kept with the tombstone; it must not name the subject.

    Raises:
        InvalidEventError: nothing was named, or an id is empty.
        SpoolWriteError: the spool refused a tombstone.
    """
    subjects = _subjects(home, tasks, users)
    try:
        tombstones = [_tombstone(subject, value, reason) for subject, value in sorted(subjects)]
    except ValidationError as error:
        raise InvalidEventError(f"cannot erase: {describe(error)}") from error
    _tell(home, tombstones)
    return len(tasks) + len(users)


def preview_erasure(home: Home, *, tasks: Sequence[str] = (), users: Sequence[str] = ()) -> Found:
    """Load the spool, and count what an erasure would take. See `request_erasure`.

    Raises:
        InvalidEventError: nothing was named, or an id is empty.
        BusyError, HomeError, MigrationError: see `take_in`.
    """
    subjects = _subjects(home, tasks, users)
    if not home.root.exists():
        return Found()
    with home.locked():
        take_in(home)
        with open_staging(home) as connection:
            return find(connection, subjects)


def tell_again(home: Home, erased: Erased) -> None:
    """Write tombstones of what was erased before, for a staging that will not know of it."""
    _tell(
        home,
        [_tombstone(subject, value) for subject, value in sorted(erased)],
    )


def _subjects(home: Home, tasks: Sequence[str], users: Sequence[str]) -> Erased:
    """Return what to erase, with the hash of each spelling that an event may have."""
    for what, ids in (("task", tasks), ("user", users)):
        for identity in ids:
            if not identity.strip():
                raise InvalidEventError(f"cannot erase a {what} without an id")
            if not _is_text(identity):
                raise InvalidEventError(f"cannot erase the {what} {identity!r}: it is no text")
    if not (tasks or users):
        raise InvalidEventError("nothing to erase: name a task or a user")
    named = {("task", _whole_task(home, task)) for task in tasks}
    # An event of no task may have a host's own reference in its metadata, as it is.
    named |= {("task", task.lower()) for task in tasks if uuid_text_differs(task, task_uuid(task))}
    for user in users:
        named |= {("user", user), ("user", folded_user(user))}
        # An id that the hooks masked, such as an e-mail address, was written as its pseudonym.
        named |= {("user", pseudonym(form)) for form in _forms(user)}
    return frozenset((subject, subject_hash(identity)) for subject, identity in named)


def _forms(user: str) -> set[str]:
    """Return the spellings of a user's id that a host may have given an earlier release.

    Of an e-mail address its pseudonym followed from each of them.
    """
    forms = {user, folded_user(user)}
    name, at, domain = folded_user(user).rpartition("@")
    if at:
        cases = (str.lower, str.upper, str.capitalize, str.title)
        forms |= {f"{one(name)}@{other(domain)}" for one in cases for other in cases}
    unicode_forms: tuple[Any, ...] = ("NFC", "NFD", "NFKC", "NFKD")
    return forms | {unicodedata.normalize(to, form) for to in unicode_forms for form in forms}


def _tombstone(subject: str, value: str, reason: str | None = None) -> Event:
    cls = next(cls for cls, erases in TOMBSTONES.items() if erases == subject)
    return cls.model_validate({f"{subject}_hash": value, "reason": reason})


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
