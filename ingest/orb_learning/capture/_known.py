"""The tasks that calls were last about, so that the next call is known to be about the same one.

A context is not enough to know that: `asyncio.wait_for` runs a call in a copy of it, an executor in
another one, and a host may route many tasks before it runs the first.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from orb_learning.capture import _scope

MAX_KNOWN = 256
"""Tasks that are remembered; each keeps the host's object for it alive."""

_VALUES = (str, bytes, int, float, tuple, type(None))

_known: dict[object, tuple[_scope.TaskScope, object]] = {}


def scope_of(
    task_id: UUID | None,
    task: object,
    find: Callable[[UUID | None, object], _scope.TaskScope],
) -> _scope.TaskScope:
    """Return the scope of a call's task, entered.

    Args:
        task_id: the id that the host names, if it does.
        task: the host's object for the task. Equal texts may be two tasks, one object is one.
        find: finds the scope by the context, or makes it, for a task that is not known.
    """
    current = _scope.current()
    key = _key(task_id, task)
    scope, _ = _known.get(key, (None, None))
    if task_id is not None and scope is None and current is not None and _is_nameless(current):
        current.task_id = task_id
    if scope is None or _is_its_own(current, task_id):
        scope = find(task_id, task)
    _scope.enter(scope)
    if key is not None:
        remember(key, scope, task)
    return scope


def remember(key: object, scope: _scope.TaskScope, task: object = None) -> None:
    """Remember a task by its id, or by the object that the key is the identity of."""
    _known.pop(key, None)
    _known[key] = (scope, task)
    # A list made at once: other threads remember their tasks meanwhile.
    for oldest in list(_known)[:-MAX_KNOWN]:
        _known.pop(oldest, None)


def _key(task_id: UUID | None, task: object) -> object:
    if task_id is not None:
        return task_id
    return None if issubclass(type(task), _VALUES) else id(task)


def _is_its_own(scope: _scope.TaskScope | None, task_id: UUID | None) -> bool:
    """Tell whether the scope of the context has more to say of a call than what is known."""
    if scope is None:
        return False
    if task_id is not None:
        return scope.task_id == task_id
    # An `execution()` around the call, or a decision that a hook has just recorded for it.
    return scope.task is None and (scope.depth > 0 or not scope.attempts)


def _is_nameless(scope: _scope.TaskScope) -> bool:
    """Tell whether nobody has seen the id of a scope's task yet."""
    return scope.decision is None and scope.task_id not in _known
