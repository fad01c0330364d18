"""Wrapping a host's router and pool manager in place, so that their calls are recorded."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
import types
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from orb_learning._types import new_id, utc_now
from orb_learning.capture import _scope
from orb_learning.capture._results import (
    is_outcome,
    named_task,
    pool_type_of,
    task_argument,
    told_decision,
    told_failure,
    told_outcome,
    told_task,
)
from orb_learning.errors import InstrumentationError
from orb_learning.events import (
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
)

if TYPE_CHECKING:
    from orb_learning.capture._telemetry import Telemetry
    from orb_learning.capture.protocols import PoolManager, Router

_MARK = "_orb_learning_instrumentation"


class _Call(Protocol):
    """One call of a wrapped method."""

    def returned(self, result: object) -> None: ...

    def failed(self, error: BaseException) -> None: ...


class Instrumentation:
    """A wrapped method; `undo()` gives the object its own one back."""

    def __init__(
        self,
        telemetry: Telemetry,
        owner: object,
        name: str,
        begin: Callable[[dict[str, Any]], _Call],
    ) -> None:
        """Wrap the method.

        Raises:
            InstrumentationError: the object has no such method, or lets none be replaced.
        """
        self.telemetry = telemetry
        self._owner = owner
        self._name = name
        self._begin = begin
        self._is_active = True
        self._was_set = name in getattr(owner, "__dict__", {})
        try:
            self._original = getattr(owner, name)
            self._signature = _signature_of(self._original)
            self._wrapper = self._wrap()
            setattr(owner, name, self._wrapper)
        except (AttributeError, TypeError) as error:
            raise InstrumentationError(
                f"cannot instrument {name}() of a {type(owner).__name__}: {error}; "
                "use `telemetry.execution()` around the call instead"
            ) from error

    def is_on(self, owner: object) -> bool:
        """Tell whether this wraps the object's method now."""
        return self._is_active and self._owner is owner

    def undo(self) -> None:
        """Give the object its own method back; harmless if that is done already.

        If somebody else has wrapped the method since, ours stays inside and does nothing.
        """
        self._is_active = False
        if vars(self._owner).get(self._name) is self._wrapper:
            if self._was_set:
                setattr(self._owner, self._name, self._original)
            else:
                delattr(self._owner, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()

    def _wrap(self) -> Any:
        original = self._original
        function = getattr(original, "__func__", original)
        is_method = inspect.ismethod(original)

        if inspect.iscoroutinefunction(original):

            @functools.wraps(function)
            async def awaitable(*args: Any, **kwargs: Any) -> Any:
                args = args[1:] if is_method else args
                call = self._called(args, kwargs)
                try:
                    result = await original(*args, **kwargs)
                except BaseException as error:
                    call.failed(error)
                    raise
                call.returned(result)
                return result

            wrapper: Any = awaitable
        else:

            @functools.wraps(function)
            def plain(*args: Any, **kwargs: Any) -> Any:
                args = args[1:] if is_method else args
                call = self._called(args, kwargs)
                try:
                    result = original(*args, **kwargs)
                except BaseException as error:
                    call.failed(error)
                    raise
                return _when_done(result, call)

            wrapper = plain
        setattr(wrapper, _MARK, self)
        return types.MethodType(wrapper, self._owner) if is_method else wrapper

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        if not self._is_active:
            return _Unwatched()
        try:
            return self._begin(self._arguments(args, kwargs))
        except Exception as error:
            if self.telemetry.is_strict:
                raise
            self.telemetry.warn("cannot record a call of %s(): %r", self._name, type(error))
            return _Unwatched()

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._signature is not None:
                bound = self._signature.bind(*args, **kwargs)
                return _flat(bound)
        except TypeError:
            pass  # the host's own call fails with the same error
        return {**{str(number): value for number, value in enumerate(args)}, **kwargs}


class _Unwatched:
    def returned(self, result: object) -> None: ...

    def failed(self, error: BaseException) -> None: ...


class _Watched:
    """A call whose telemetry may fail without the host's noticing."""

    def __init__(self, telemetry: Telemetry, scope: _scope.TaskScope) -> None:
        self._telemetry = telemetry
        self._scope = scope
        self._began_at = utc_now()
        self._began = time.monotonic()
        scope.depth += 1

    def returned(self, result: object) -> None:
        self._end(self._record_result, result)

    def failed(self, error: BaseException) -> None:
        self._end(self._record_failure, error)

    def _end(self, record: Callable[[Any], None], what: object) -> None:
        self._scope.depth -= 1
        try:
            record(what)
        except Exception as error:
            if self._telemetry.is_strict:
                raise
            self._telemetry.warn("cannot record the end of a call: %r", type(error))

    def _record_result(self, result: Any) -> None:
        raise NotImplementedError

    def _record_failure(self, error: Any) -> None:
        raise NotImplementedError

    def _decide(self, told: dict[str, Any], task: dict[str, Any], at: datetime) -> None:
        """Record a decision: what the router told of it, and the task it is about."""
        scope = self._scope
        attempt = scope.attempts + 1 if scope.attempts and scope.decision is not None else None
        fields: dict[str, Any] = {"task_id": scope.task_id, "occurred_at": at}
        if attempt is not None:
            fields["attempt"] = attempt
        told = {key: value for key, value in told.items() if value is not None}
        self._telemetry.record(RoutingDecision, {"routing": told, "task_data": task}, fields)

    def _measured(self, told: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return an outcome's fields, with the time the call took where the host told none."""
        known = {"duration_seconds", "duration"} & {
            key for key, value in told.items() if value is not None
        }
        fields = {"task_id": self._scope.task_id, **more}
        if not known:
            fields["duration_seconds"] = time.monotonic() - self._began
        if self._scope.attempt is not None:
            fields["attempt"] = self._scope.attempt
        return fields


class _Routing(_Watched):
    def __init__(self, telemetry: Telemetry, arguments: dict[str, Any]) -> None:
        task = task_argument(arguments)
        self._task = told_task(task, arguments)
        task_id = named_task(self._task) or named_task(arguments, "task_id")
        super().__init__(telemetry, _scope.scope_for_routing(task_id, task))
        _keep_reference(self._task)
        self._attempts = self._scope.attempts

    def _record_result(self, result: Any) -> None:
        told = told_decision(result)
        has_run = self._scope.attempts > self._attempts
        if is_outcome(told):
            if has_run:
                return  # the execution inside has recorded the decision and the outcome
            self._decide({}, self._task, self._began_at)
            told = told_outcome(result)
            _keep_reference(told)
            self._telemetry.record(RoutingOutcome, told, self._measured(told))
        else:
            self._decide(told, self._task, self._began_at)

    def _record_failure(self, error: Any) -> None:
        if self._scope.attempts > self._attempts:
            return
        self._decide({}, self._task, self._began_at)
        told = told_failure(error)
        self._telemetry.record(RoutingOutcome, told, self._measured(told))


class _PoolExecution(_Watched):
    def __init__(self, telemetry: Telemetry, manager: object, arguments: dict[str, Any]) -> None:
        name = next(
            (name for name in ("pool_id", "pool") if name in arguments), next(iter(arguments), None)
        )
        self._pool_id = arguments[name] if name is not None else None
        task = task_argument(arguments, skipped=name)
        told = told_task(task, {})
        task_id = named_task(told) or named_task(arguments, "task_id")
        super().__init__(telemetry, _scope.scope_for_execution(task_id, task))
        self._pool = {
            "pool_id": self._pool_id if isinstance(self._pool_id, str) else None,
            "pool_type": pool_type_of(manager, self._pool_id),
        }
        telemetry.will_record_pool(self._pool_id)
        _keep_reference(told)
        self._begin_attempt(told)
        fields = {"task_id": self._scope.task_id, "attempt": self._scope.attempt}
        telemetry.record(PoolExecutionStart, None, {**self._pool, **fields})

    def _begin_attempt(self, task: dict[str, Any]) -> None:
        """Count the attempt, and see that it has a decision that describes it."""
        scope = self._scope
        decided = scope.decision
        if decided is None:
            self._decide(self._pool | {"inferred_from": "execute_on_pool"}, task, self._began_at)
        elif scope.attempts and (decided.attempt or 1) <= scope.attempts:
            # Tried again without being routed again: the decision stands for this attempt too.
            again = decided.model_copy(
                update={
                    "event_id": new_id(),
                    "attempt": scope.attempts + 1,
                    "occurred_at": self._began_at,
                    "captured_at": self._began_at,
                }
            )
            self._telemetry.record(RoutingDecision, again, {})
        scope.attempts += 1
        scope.is_answered = False

    def _record_result(self, result: Any) -> None:
        told = told_outcome(result)
        _keep_reference(told)
        self._complete(told)

    def _record_failure(self, error: Any) -> None:
        self._complete(told_failure(error))

    def _complete(self, told: dict[str, Any]) -> None:
        fields = self._measured(told, **{k: v for k, v in self._pool.items() if v is not None})
        self._telemetry.record(PoolExecutionComplete, told, fields)


def instrument_router(router: Router, telemetry: Telemetry) -> Instrumentation:
    """Record every decision of a router, by wrapping its `route_task()`.

    Doing it twice changes nothing.

    Args:
        router: see `orb_learning.capture.protocols.Router`.
        telemetry: the hooks.

    Raises:
        InstrumentationError: the object has no `route_task()`, or lets it not be replaced.
    """
    return _instrument(telemetry, router, "route_task", functools.partial(_Routing, telemetry))


def instrument_pool_manager(manager: PoolManager, telemetry: Telemetry) -> Instrumentation:
    """Record every execution on a manager's pools, by wrapping its `execute_on_pool()`.

    Doing it twice changes nothing.

    Args:
        manager: see `orb_learning.capture.protocols.PoolManager`.
        telemetry: the hooks.

    Raises:
        InstrumentationError: the object has no `execute_on_pool()`, or lets it not be replaced.
    """
    begin = functools.partial(_PoolExecution, telemetry, manager)
    return _instrument(telemetry, manager, "execute_on_pool", begin)


def _instrument(
    telemetry: Telemetry, owner: object, name: str, begin: Callable[[dict[str, Any]], _Call]
) -> Instrumentation:
    known = getattr(getattr(owner, name, None), _MARK, None)
    if isinstance(known, Instrumentation) and known.telemetry is telemetry and known.is_on(owner):
        return known
    return Instrumentation(telemetry, owner, name, begin)


def _signature_of(method: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(method)
    except ValueError:  # a builtin that does not tell
        return None


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            flat.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            flat.update({f"{name}{number}": item for number, item in enumerate(value)})
        else:
            flat[name] = value
    return flat


def _when_done(result: Any, call: _Call) -> Any:
    """Return a call's result as it is, and tell the call of its end when that comes."""
    if isinstance(result, asyncio.Future):
        result.add_done_callback(functools.partial(_future_done, call))
        return result
    if inspect.isawaitable(result):
        return _awaited(result, call)
    call.returned(result)
    return result


def _future_done(call: _Call, future: asyncio.Future[Any]) -> None:
    if future.cancelled():
        call.failed(asyncio.CancelledError())
    elif (error := future.exception()) is not None:
        call.failed(error)
    else:
        call.returned(future.result())


async def _awaited(result: Any, call: _Call) -> Any:
    try:
        value = await result
    except BaseException as error:
        call.failed(error)
        raise
    call.returned(value)
    return value


def _keep_reference(told: dict[str, Any]) -> None:
    """Take a host's own task id out of its fields: the scope has it, as the UUID it stands for."""
    for name in ("task_id", "id"):
        if (reference := told.pop(name, None)) is not None:
            told.setdefault("task_ref", reference if isinstance(reference, str) else str(reference))
