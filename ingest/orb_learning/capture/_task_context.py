"""Which task the running code works on, for hosts whose calls do not name it.

A scope lives in a context variable, so it follows nested calls, the asyncio tasks they start and
the bus handlers that those run, and stays apart between tasks that run at the same time.

A context is not enough: `asyncio.wait_for` runs a call in a copy of it, an executor in another
one, and a host may route many tasks before it runs the first. So the tasks that calls were last
about are remembered too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from orb_learning._types import new_id
from orb_learning.events import RoutingDecision

MAX_KNOWN = 256
"""Tasks that are remembered; each keeps the host's object for it alive."""

_VALUES = (str, bytes, int, float, tuple, type(None))


@dataclass(slots=True, eq=False)
class TaskScope:
    """One task, from its routing on.

    Attributes:
        task_id: the id that the host gave, or the one minted for it.
        task: the host's own object for the task, by which a later call is known to be a retry.
        decision: the newest routing decision, once there is one.
        attempts: how many attempts have begun to run.
        depth: how many wrapped calls are running inside each other.
        is_answered: whether a bus has told how the attempt ended that runs now.
        answered_to: the links that have heard it; one message may reach several.
        ended: the last attempt whose end a pool manager's call has told, and its success.
    """

    task_id: UUID
    task: object = None
    decision: RoutingDecision | None = None
    attempts: int = 0
    depth: int = 0
    is_answered: bool = False
    answered_to: set[object] = field(default_factory=set)
    ended: tuple[int, bool] | None = None

    @property
    def attempt(self) -> int | None:
        """The attempt that runs, where it must be said because it is not the first."""
        return self.attempts if self.attempts > 1 else None

    def takes_answer(self, link: object) -> bool:
        """Take an outcome heard on a link; tell whether it is the attempt's, which has only one."""
        if not self.is_answered:
            self.is_answered = True
            self.answered_to.clear()
        is_first = link not in self.answered_to
        self.answered_to.add(link)
        return is_first


_known: dict[object, tuple[TaskScope, object]] = {}
_current: ContextVar[TaskScope | None] = ContextVar("orb_learning_task", default=None)


def current_scope() -> TaskScope | None:
    """Return the scope of the running code, if it is in one."""
    return _current.get()


def enter_scope(scope: TaskScope | None) -> None:
    """Make this the scope of what follows in this context, the caller's next calls included."""
    _current.set(scope)


def decided(decision: RoutingDecision) -> None:
    """Remember a decision for the events that follow it in this context."""
    scope = _current.get()
    if scope is not None and scope.task_id == decision.task_id:
        scope.decision = decision
        if not scope.attempts:  # nothing else tells when the next attempt begins
            scope.is_answered = False
    elif scope is None or not scope.depth:
        _current.set(TaskScope(decision.task_id, decision=decision))


def decision_in_scope() -> RoutingDecision | None:
    """Return the newest decision on the task that the running code works on."""
    scope = _current.get()
    return None if scope is None else scope.decision


def unnamed_task(*, begins_task: bool) -> UUID | None:
    """Return the id of the task that an event without one is about.

    Args:
        begins_task: whether the event may be a task's first, so that an id is minted.
    """
    scope = _current.get()
    if scope is not None and not (begins_task and scope.decision is not None and not scope.depth):
        return scope.task_id
    if not begins_task:
        return None
    scope = TaskScope(new_id())
    _current.set(scope)
    return scope.task_id


def scope_for_routing(task_id: UUID | None, task: object) -> TaskScope:
    """Return the scope of a call that routes a task, entered.

    A routing call begins a task, unless it runs inside a call for one, or routes the same object
    again.
    """
    scope = _current.get()
    if scope is None or not _is_its(scope, task_id, task is scope.task and task is not None):
        scope = TaskScope(task_id or new_id(), task)
        _current.set(scope)
    return scope


def scope_for_execution(task_id: UUID | None, task: object) -> TaskScope:
    """Return the scope of a call that executes a task, entered.

    It belongs to the task that was routed before it in this context, if that one has not run yet
    or is the same object.
    """
    scope = _current.get()
    if scope is None or not _is_its(
        scope,
        task_id,
        (scope.decision is not None and scope.attempts == 0)
        or (task is scope.task and task is not None),
    ):
        scope = TaskScope(task_id or new_id(), task)
        _current.set(scope)
    return scope


def _is_its(scope: TaskScope, task_id: UUID | None, is_known: bool) -> bool:
    if task_id is not None:
        return scope.task_id == task_id
    return scope.depth > 0 or is_known


def scope_of(
    task_id: UUID | None,
    task: object,
    find: Callable[[UUID | None, object], TaskScope],
) -> TaskScope:
    """Return the scope of a call's task, entered.

    Args:
        task_id: the id that the host names, if it does.
        task: the host's object for the task. Equal texts may be two tasks, one object is one.
        find: finds the scope by the context, or makes it, for a task that is not known.
    """
    current = current_scope()
    key = _key(task_id, task)
    scope, _ = _known.get(key, (None, None))
    if task_id is not None and scope is None and current is not None and _is_nameless(current):
        current.task_id = task_id
    if scope is None or _is_its_own(current, task_id):
        scope = find(task_id, task)
    enter_scope(scope)
    if key is not None:
        remember(key, scope, task)
    return scope


def remember(key: object, scope: TaskScope, task: object = None) -> None:
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


def _is_its_own(scope: TaskScope | None, task_id: UUID | None) -> bool:
    """Tell whether the scope of the context has more to say of a call than what is known."""
    if scope is None:
        return False
    if task_id is not None:
        return scope.task_id == task_id
    # An `execution()` around the call, or a decision that a hook has just recorded for it.
    return scope.task is None and (scope.depth > 0 or not scope.attempts)


def _is_nameless(scope: TaskScope) -> bool:
    """Tell whether nobody has seen the id of a scope's task yet."""
    return scope.decision is None and scope.task_id not in _known
