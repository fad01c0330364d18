"""One execution, recorded around a block of code or a function of any shape."""

from __future__ import annotations

import functools
import inspect
import os
import resource
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from uuid import UUID

from orb_learning._types import new_id, task_uuid
from orb_learning.capture import _scope
from orb_learning.capture._results import told_failure
from orb_learning.events import RoutingDecision, RoutingOutcome

if TYPE_CHECKING:
    from orb_learning.capture._telemetry import Telemetry

P = ParamSpec("P")
R = TypeVar("R")

_MEBIBYTE = 1024 * 1024
_running: ContextVar[Execution | None]


class Execution:
    """Records one execution: `with` or `async with` it, or decorate a function with it.

    At its beginning the decision is recorded, at its end the outcome: wall-clock seconds by a
    monotonic clock, the processor seconds that the whole process used meanwhile, the peak of its
    memory, and an exception as the failure that it is, raised again unchanged. What the block sets
    on the object is recorded too: any field of `RoutingOutcome`, such as `quality_score`,
    `actual_cost`, `solution_summary` or `success`; other attributes go into the metadata.

    Where executions overlap in one process, its processor seconds count for each of them. The
    peak of memory is what the process held at the beginning or at the end, or its high-water mark
    if that rose meanwhile.

    Attributes:
        task_id: the task, as given or minted.
    """

    task_id: UUID
    success: bool
    quality_score: int | None
    actual_cost: float | None
    cost_estimate: float | None
    error_type: str | None
    error_message: str | None
    solution_summary: str | None
    metadata: dict[str, Any] | None

    def __init__(self, telemetry: Telemetry, decision: dict[str, Any]) -> None:
        """Prepare; nothing is recorded before it begins."""
        self._telemetry = telemetry
        self._decision = decision

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, each of whose calls is an execution of its own.

        Inside, `current_execution()` is the object to set results on.
        """
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaitable(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with Execution(self._telemetry, self._decision):
                    return await function(*args, **kwargs)

            return awaitable  # type: ignore[return-value]  # R is the coroutine that it returns

        @functools.wraps(function)
        def plain(*args: P.args, **kwargs: P.kwargs) -> R:
            with Execution(self._telemetry, self._decision):
                return function(*args, **kwargs)

        return plain

    def _begin(self) -> None:
        given = self._decision.get("task_id", self._decision.get("id"))
        try:
            self.task_id = new_id() if given is None else task_uuid(given)
        except Exception:  # the hook refuses it, and says why
            self.task_id = new_id()
        self._outer = (_scope.current(), _running.get())
        self._scope = _scope.TaskScope(self.task_id, depth=1)
        _scope.enter(self._scope)
        _running.set(self)
        self._telemetry.record(
            RoutingDecision, self._decision, {} if given is not None else {"task_id": self.task_id}
        )
        self._held_mb = _held_mb()
        self._peak_mb = _peak_mb()
        self._cpu = time.process_time()
        self._began = time.monotonic()

    def _end(self, error: BaseException | None) -> None:
        measured = {
            "duration_seconds": time.monotonic() - self._began,
            "cpu_time_seconds": time.process_time() - self._cpu,
            "peak_memory_mb": self._most_memory(),
        }
        outer_scope, outer_run = self._outer
        self._scope.depth -= 1
        _scope.enter(outer_scope)
        _running.set(outer_run)
        told = {name: value for name, value in vars(self).items() if name[:1] != "_"}
        ended = {"success": True} if error is None else told_failure(error)
        # What the block says wins, but for the success of a block that failed.
        if error is not None:
            told.pop("success", None)
        attempt = {"attempt": said} if (said := self._decision.get("attempt")) else {}
        self._telemetry.record(RoutingOutcome, {**measured, **ended, **attempt, **told}, {})

    def _most_memory(self) -> float | None:
        peak = _peak_mb()
        if peak > self._peak_mb:
            return peak
        now = _held_mb()
        if now is None or self._held_mb is None:
            return peak
        return max(now, self._held_mb)


_running = ContextVar("orb_learning_execution", default=None)


def current_execution() -> Execution | None:
    """Return the innermost execution that the running code is part of."""
    return _running.get()


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MEBIBYTE if sys.platform == "darwin" else 1024)


def _held_mb() -> float | None:
    """Return the mebibytes that the process holds now; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE
