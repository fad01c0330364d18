"""One execution, recorded around a block of code or a function of any shape."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar
from uuid import UUID

from orb_learning._spellings import spellings
from orb_learning._success import FLAGS
from orb_learning._types import new_id
from orb_learning.capture._host_values import fields_of, named_task, outcome_fields
from orb_learning.capture._misfits import NO_DURATION, failure_fields, seconds_of, set_aside
from orb_learning.capture._recorder import Recorder
from orb_learning.capture._task_context import TaskScope, current_scope, enter_scope, remember
from orb_learning.capture._wrapping import Call, watched
from orb_learning.events import RoutingDecision, RoutingOutcome

P = ParamSpec("P")
R = TypeVar("R")

_MEBIBYTE = 1024 * 1024
_STATM = Path("/proc/self/statm")
_running: ContextVar[RunningExecution | None]
_RETURNED = FLAGS | {"error", "error_message"}
"""What of a decorated function's result speaks."""


class RunningExecution:
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

    def __init__(self, recorder: Recorder, decision: dict[str, Any]) -> None:
        """Prepare; nothing is recorded before it begins."""
        self._recorder = recorder
        self._decision = decision

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        self._end(error)

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(self, _: object, error: BaseException | None, *__: object) -> None:
        self._end(error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, each of whose calls is an execution of its own.

        Inside, `current_execution()` is the object to set results on.

        Args:
            function: a function or coroutine function, a generator function of either kind, or
                one that returns a coroutine or a future.
        """

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
            return _DecoratedCall(RunningExecution(self._recorder, self._decision))

        wrapper: Callable[P, R] = watched(function, begin)
        return wrapper

    def _begin(self) -> None:
        for name in self._said():  # by an earlier block
            delattr(self, name)
        named = named_task(self._decision)
        is_named = any(self._decision.get(key) is not None for key in ("task_id", "id"))
        self.task_id = named or new_id()
        self._outer = (current_scope(), _running.get())
        self._has_ended = False
        decision = self._recorder.record(
            RoutingDecision, self._decision, {} if is_named else {"task_id": self.task_id}
        )
        self._attempt = decision.attempt if decision is not None else None
        self._scope = TaskScope(
            self.task_id, decision=decision, attempts=(self._attempt or 1) - 1, depth=1
        )
        remember(self.task_id, self._scope)
        self._enter()
        self._held_mb = _held_mb()
        self._peak_mb = _peak_mb()
        self._cpu = time.process_time()
        self._began = time.monotonic()

    def _end(
        self, error: BaseException | None, returned: object = None, source: str | None = None
    ) -> None:
        lasted = time.monotonic() - self._began
        measured: dict[str, Any] = {
            "cpu_time_seconds": time.process_time() - self._cpu,
            "peak_memory_mb": self._most_memory(),
            "attempt": max(self._attempt or 0, self._scope.attempt or 0) or None,
            "decision_id": decision.event_id if (decision := self._scope.decision) else None,
        }
        self._scope.depth -= 1
        self._has_ended = True
        self._leave()
        said = {name: value for name, value in self._said().items() if value is not None}
        if error is None:
            ended = self._told(said, returned, source)
        else:
            # What the block says wins, but for the success of a block that failed.
            ended = {**failure_fields(error), **said, "success": False}
        if ended is None:
            return
        names = spellings(RoutingOutcome)
        durations = [name for name in ended if names.get(name) == "duration_seconds"]
        if all(seconds_of(ended[name]) is None for name in durations):
            measured |= {"duration_seconds": lasted, "duration_source": "measured"}
            self._keep_beside(ended, durations)
        self._recorder.record(RoutingOutcome, {**measured, **ended}, {})

    def _told(
        self, said: dict[str, Any], returned: object, source: str | None
    ) -> dict[str, Any] | None:
        """Return what the block said and what the function's result says of its success."""
        words = self._recorder.reading.words
        returns = {n: v for n, v in fields_of(returned).items() if n in _RETURNED}
        ended = outcome_fields({**returns, **said}, words, source=source)
        if ended is not None and "success" in ended:
            alone = outcome_fields(returns, words) if returns else ended
            if alone is not None and alone.get("success") is False:
                ended["success"] = False
        return ended

    def _keep_beside(self, ended: dict[str, Any], durations: list[str]) -> None:
        """Keep what the block calls a duration, and is none, in the metadata."""
        beside: dict[str, Any] = {}
        for name in durations:
            set_aside(ended, beside, name, NO_DURATION, self._recorder.reading)
        if beside:
            metadata = ended.get("metadata", {})
            told = metadata if isinstance(metadata, Mapping) else {"metadata": metadata}
            ended["metadata"] = {**beside, **told}

    def _enter(self) -> None:
        enter_scope(self._scope)
        _running.set(self)

    def _leave(self) -> None:
        """Let what is around the block be current again, unless another block is."""
        if _running.get() is not self:
            return
        scope, run = self._outer
        while run is not None and run._has_ended:  # the blocks of two generators may overlap
            scope, run = run._outer
        enter_scope(scope)
        _running.set(run)

    def _said(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name[:1] != "_"}

    def _most_memory(self) -> float | None:
        peak = _peak_mb()
        if peak > self._peak_mb:
            return peak
        now = _held_mb()
        if now is None or self._held_mb is None:
            return peak
        return max(now, self._held_mb)


class _DecoratedCall:
    """A decorated function's call, as a block around it."""

    def __init__(self, run: RunningExecution) -> None:
        self._run = run
        run._begin()

    def leave(self) -> None:
        self._run._leave()

    def enter(self) -> None:
        self._run._enter()

    def returned(self, result: object) -> None:
        self._run._end(None, result, "returned")

    def failed(self, error: BaseException) -> None:
        self._run._end(error)


_running = ContextVar("orb_learning_execution", default=None)


def current_execution() -> RunningExecution | None:
    """Return the innermost execution that the running code is part of."""
    return _running.get()


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MEBIBYTE if sys.platform == "darwin" else 1024)


def _held_mb() -> float | None:
    """Return the mebibytes that the process holds now; None where the system does not tell."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE
