"""What the hooks expect of a host's own objects: a router, a pool manager, a message bus.

A host's classes need not name these protocols, only have these methods. Every method may be a
coroutine function, a plain one, one that returns a coroutine or a future, or a generator function
of either kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol


class Router(Protocol):
    """Chooses a tier and a pool for a task; see `orb_learning.instrument_router`."""

    def route_task(self, *args: Any, **kwargs: Any) -> Any:
        """Route a task; `instrument_router(…, method="route")` takes one of another name.

        The task is the argument named `task`, `task_data` or `request`, else the first one that
        is not named for a field: a mapping or an object with the fields of `RoutingDecision` as
        keys or attributes, in any of the spellings that the hooks accept, or the task's
        description as text. Other arguments that are fields of `RoutingDecision` count too.

        Returns:
            the decision: a mapping or an object with `model_tier` (or `tier`, `model`) and
            whatever else it knows of `RoutingDecision`; or the tier alone, as text or an enum's
            member. A router that runs the task itself may return the outcome instead. An answer
            with `success` true that names an `adapter`, `agent`, `provider` or `worker` and has no
            `result`, `output` or `response` has only chosen.
        """


class PoolManager(Protocol):
    """Runs tasks on pools; see `orb_learning.instrument_pool_manager`.

    The pool's type is looked up as `pool_type` or `type` of the pool, or of its `config`, where
    the manager keeps its pools by id in a mapping `pools` or `_pools`.
    """

    def execute_on_pool(self, pool_id: str, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a task on a pool; `instrument_pool_manager(…, method="run")` takes another name.

        Returns:
            the outcome: a mapping or an object with `success` or `status`, and whatever else it
            knows of `PoolExecutionComplete`; or the status alone, as a word, a bool or an enum's
            member. Without an error, anything else counts as a success.

        Raises:
            Exception: of any kind; it is recorded as a failure and raised again unchanged.
        """


class Message(Protocol):
    """One message on a bus.

    Attributes:
        type: a text such as `task_completed`, or an enum's member with that value.
        source_pool_id: the pool it comes from, or None.
        target_pool_id: the pool it is for, or None for all.
        payload: what it says.
        timestamp: when it was sent, in seconds since the epoch.
    """

    type: Any
    source_pool_id: str | None
    target_pool_id: str | None
    payload: dict[str, Any]
    timestamp: float


class MessageBus(Protocol):
    """Carries messages between pools."""

    def publish(self, message: dict[str, Any]) -> Awaitable[None] | None:
        """Send `{"type", "source_pool_id", "target_pool_id", "payload"}` to all subscribers."""

    def subscribe(self, message_type: Any, handler: Callable[[Message], Awaitable[None]]) -> Any:
        """Call an asynchronous handler with every message of a type."""
