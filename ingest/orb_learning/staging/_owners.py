"""Whose rows are: which users they name, which tasks are a user's, and who imported them.

A task is a user's if any of its events but feedback names the user: a decision does, and the
outcome beside it does not. Feedback is of whoever gave it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orb_learning._types import folded_user, subject_hash, task_uuid
from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES, Feedback

if TYPE_CHECKING:
    import duckdb

Erased = frozenset[tuple[str, str]]
"""Subjects, `task`, `user` or `import`, each with the hash of its id."""


def is_erased(subject: str, identity: str, erased: Erased) -> bool:
    """Tell whether a subject is erased, by the id in any of its spellings."""
    if (subject, subject_hash(identity)) in erased:
        return True
    folded = folded_user(identity) if subject == "user" else identity
    return folded != identity and (subject, subject_hash(folded)) in erased


def spelled_users(
    connection: duckdb.DuckDBPyConnection, table: str, kind: str, erased: Erased
) -> list[str]:
    """Return the erased users whom a table's rows name, as the rows spell them."""
    if not any(subject == "user" for subject, _ in erased):
        return []
    spelled = " union ".join(f"select {user} as user from {table}" for user in _users(kind))
    found = connection.execute(f"select user from ({spelled}) where user is not null").fetchall()
    return sorted(user for (user,) in found if is_erased("user", user, erased))


def tasks_of(
    connection: duckdb.DuckDBPyConnection, table: str, kind: str, users: list[str]
) -> set[str]:
    """Return the hashes by which the tasks of users are erased, as one table's rows say it.

    Of a task that is the host's own reference there are two: events of no task keep the text.
    """
    if not users or kind == Feedback.type_name:
        return set()
    tasks, texts = (
        ("cast(task_id as varchar)", "task_ref") if _has_task(kind) else ("null", "task_id")
    )
    found = connection.execute(
        f"select distinct {tasks}, {_scalar(texts)} from {table} where {_names_user(kind)}",
        {"users": users},
    ).fetchall()
    hashes = {subject_hash(task) for task, _ in found if task}
    for text in {text for _, text in found if text and text.strip()}:
        hashes |= {subject_hash(str(task_uuid(text))), subject_hash(text.lower())}
    return hashes


def is_about(kind: str) -> str:
    """Return the SQL that tells of a row whether it is about one of its `parameters`."""
    task = "cast(task_id as varchar)" if _has_task(kind) else f"lower({_scalar('task_id')})"
    of_import = "import_id" if "import_id" in EVENT_TYPES[kind].model_fields else "null"
    return (
        f"({_names_user(kind)} or sha256({task}) in (select unnest($tasks))"
        f" or sha256({of_import}) in (select unnest($imports)))"
    )


def parameters(
    connection: duckdb.DuckDBPyConnection, table: str, kind: str, erased: Erased
) -> dict[str, list[str]]:
    """Return what `is_about` compares a table's rows with."""
    return {
        "users": spelled_users(connection, table, kind, erased),
        "tasks": hashes_of(erased, "task"),
        "imports": hashes_of(erased, "import"),
    }


def other_users(kind: str) -> str:
    """Return the SQL that tells of a row whether it names a user who is not one of `$users`."""
    others = (f"({user} != '' and {user} not in (select unnest($users)))" for user in _users(kind))
    return " or ".join(others)


def hashes_of(erased: Iterable[tuple[str, str]], subject: str) -> list[str]:
    """Return the hashes of the erased subjects of one kind."""
    return sorted(value for kind, value in erased if kind == subject)


def _names_user(kind: str) -> str:
    return "(" + " or ".join(f"{user} in (select unnest($users))" for user in _users(kind)) + ")"


def _users(kind: str) -> list[str]:
    own = ["user_id"] if "user_id" in EVENT_TYPES[kind].model_fields else []
    return [*own, _scalar("user_id")]


def _has_task(kind: str) -> bool:
    return kind in TASK_EVENT_TYPES


def _scalar(key: str) -> str:
    """Return the SQL of a value in the metadata that is one value and no container of some."""
    path = f"metadata, '$.{key}'"
    is_one = f"json_type({path}) not in ('ARRAY', 'OBJECT')"
    return f"case when {is_one} then json_extract_string({path}) end"
