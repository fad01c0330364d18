"""The events by which something is erased; each names its subject by the hash of the id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from orb_learning._event_fields import Event
from orb_learning._types import Hash, OptionalText, as_dict, subject_hash, task_uuid


class TaskErased(Event):
    """A tombstone: nothing about this task may be kept, whenever it arrives.

    Attributes:
        task_hash: SHA-256, in hex, of the task's UUID, so that the tombstone does not keep the id;
            whoever makes one may give `task_id` instead.
    """

    event_type: Literal["task_erased"] = "task_erased"
    task_hash: Hash
    reason: OptionalText = None

    @model_validator(mode="before")
    @classmethod
    def _hash_of_the_id(cls, values: Any) -> Any:
        return _hashed(values, "task", task_uuid)

    @classmethod
    def of(cls, task_id: object, reason: str | None = None) -> Self:
        """Return the tombstone of a task, named by its UUID or by the host's own reference."""
        return cls(task_hash=subject_hash(str(task_uuid(task_id))), reason=reason)


class UserErased(Event):
    """A tombstone: nothing this user said or did may be kept, whenever it arrives.

    Attributes:
        user_hash: SHA-256, in hex, of the user's id; whoever makes one may give `user_id` instead.
    """

    event_type: Literal["user_erased"] = "user_erased"
    user_hash: Hash
    reason: OptionalText = None

    @model_validator(mode="before")
    @classmethod
    def _hash_of_the_id(cls, values: Any) -> Any:
        return _hashed(values, "user", str)

    @classmethod
    def of(cls, user_id: str, reason: str | None = None) -> Self:
        """Return the tombstone of a user."""
        return cls(user_hash=subject_hash(user_id), reason=reason)


class ImportUndone(Event):
    """A tombstone: nothing that this import brought may be kept.

    Attributes:
        import_hash: SHA-256, in hex, of the import's id.
    """

    event_type: Literal["import_undone"] = "import_undone"
    import_hash: Hash
    reason: OptionalText = None


def _hashed(values: Any, subject: str, spelled: Callable[[Any], object]) -> Any:
    """Replace a tombstone's id by its hash, and drop a reference that says the same."""
    if not isinstance(values, Mapping) or values.get(f"{subject}_id") is None:
        return values
    rest = {name: value for name, value in as_dict(values).items() if name != f"{subject}_id"}
    rest[f"{subject}_hash"] = subject_hash(str(spelled(values[f"{subject}_id"])))
    metadata = rest.get("metadata")
    if isinstance(metadata, Mapping):
        rest["metadata"] = {
            name: value for name, value in as_dict(metadata).items() if name != f"{subject}_ref"
        } or None
    return rest
