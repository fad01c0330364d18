"""Wrapping a host's router and pool manager in place, so that their calls are recorded."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Self, overload

from orb_learning.capture import Call, Recorder, watched
from orb_learning.errors import InstrumentationError
from orb_learning.hosts._calls import PoolExecution, Routing, not_recorded
from orb_learning.hosts.protocols import PoolManager, Router

_MARK = "_orb_learning_method"
_ABSENT = object()

Begin = type[Routing] | type[PoolExecution]


class Instrumentation:
    """A telemetry that records the calls of a method, until `undo()`.

    Attributes:
        telemetry: where they are recorded.
    """

    def __init__(self, telemetry: Recorder, method: _Method) -> None:
        """Record; `instrument_router` and `instrument_pool_manager` make it."""
        self.telemetry = telemetry
        self._method = method

    def undo(self) -> None:
        """Record no further call; harmless if that is done already.

        The object gets its own method back, unless somebody else records its calls, too, or has
        wrapped the method since: ours then stays inside and does nothing.
        """
        self._method.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


class _Method:
    """A host's method, wrapped once for all who record its calls."""

    def __init__(self, owner: object, name: str, begin: Begin) -> None:
        self.owner = owner
        self._name = name
        self._begin = begin
        self._watchers: tuple[Instrumentation, ...] = ()
        self._own = getattr(owner, "__dict__", {}).get(name, _ABSENT)
        try:
            self._original = getattr(owner, name)
            self._signature = _signature_of(self._original)
            self._wrapper = self._wrap()
            is_static = isinstance(self._own, staticmethod)
            setattr(owner, name, staticmethod(self._wrapper) if is_static else self._wrapper)
        except Exception as error:
            raise InstrumentationError(
                f"cannot instrument {name}() of a {type(owner).__name__}: {error}; "
                "name another with `method`, or use `telemetry.execution()` around the call instead"
            ) from error

    def add(self, telemetry: Recorder, begin: Begin) -> Instrumentation:
        if begin is not self._begin:
            raise InstrumentationError(
                f"{self._name}() of a {type(self.owner).__name__} is recorded already, as a "
                f"{self._begin.kind}'s; a method is a router's or a pool manager's, not both"
            )
        for watcher in self._watchers:
            if watcher.telemetry is telemetry:
                return watcher
        added = Instrumentation(telemetry, self)
        self._watchers = (*self._watchers, added)
        return added

    def remove(self, watcher: Instrumentation) -> None:
        self._watchers = tuple(other for other in self._watchers if other is not watcher)
        if self._watchers or getattr(self.owner, self._name, None) is not self._wrapper:
            return
        if self._own is not _ABSENT:
            setattr(self.owner, self._name, self._own)
            return
        delattr(self.owner, self._name)
        if getattr(self.owner, self._name, None) is None:  # it was in a slot, or a mock's
            setattr(self.owner, self._name, self._original)

    def _wrap(self) -> Any:
        if not inspect.ismethod(self._original):
            wrapper = watched(self._original, self._called)
            setattr(wrapper, _MARK, self)
            return wrapper
        # Given its `self` at each call: a deep copy of the host's object has one of its own.
        wrapper = watched(
            self._original.__func__, lambda args, kwargs: self._called(args[1:], kwargs)
        )
        setattr(wrapper, _MARK, self)
        return types.MethodType(wrapper, self._original.__self__)

    def _called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        recorders = tuple(watcher.telemetry for watcher in self._watchers)
        if recorders:
            try:
                return self._begin(recorders, self.owner, self._name, self._arguments(args, kwargs))
            except Exception as error:
                not_recorded(recorders, f"a call of {self._name}()", error)
        return _Unwatched()

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self._signature is not None:
            try:
                return _flat(self._signature.bind(*args, **kwargs))
            except TypeError:
                pass  # the host's own call fails with the same error
        return {**{str(number): value for number, value in enumerate(args)}, **kwargs}


class _Unwatched:
    def leave(self) -> None: ...

    def enter(self) -> None: ...

    def returned(self, result: object) -> None: ...

    def failed(self, error: BaseException) -> None: ...


@overload
def instrument_router(router: Router, telemetry: Recorder) -> Instrumentation: ...
@overload
def instrument_router(router: object, telemetry: Recorder, method: str) -> Instrumentation: ...
def instrument_router(
    router: object, telemetry: Recorder, method: str = "route_task"
) -> Instrumentation:
    """Record every decision of a router, by wrapping its `route_task()`.

    Doing it twice changes nothing.

    Args:
        router: see `orb_learning.hosts.Router`.
        telemetry: the hooks, a `Telemetry`.
        method: what the router calls its `route_task()`; a router that has several is instrumented
            once for each.

    Raises:
        InstrumentationError: the object has no such method, or lets it not be replaced.
    """
    return _instrument(telemetry, router, method, Routing)


@overload
def instrument_pool_manager(manager: PoolManager, telemetry: Recorder) -> Instrumentation: ...
@overload
def instrument_pool_manager(
    manager: object, telemetry: Recorder, method: str
) -> Instrumentation: ...
def instrument_pool_manager(
    manager: object, telemetry: Recorder, method: str = "execute_on_pool"
) -> Instrumentation:
    """Record every execution on a manager's pools, by wrapping its `execute_on_pool()`.

    Doing it twice changes nothing.

    Args:
        manager: see `orb_learning.hosts.PoolManager`.
        telemetry: the hooks, a `Telemetry`.
        method: what the manager calls its `execute_on_pool()`; one that has several is
            instrumented once for each.

    Raises:
        InstrumentationError: the object has no such method, or lets it not be replaced.
    """
    return _instrument(telemetry, manager, method, PoolExecution)


def _instrument(telemetry: Recorder, owner: object, name: str, begin: Begin) -> Instrumentation:
    if not isinstance(name, str) or not name.isidentifier():
        raise InstrumentationError(
            f"method: expected a method's name, such as 'route', not {name!r:.100}"
        )
    method = getattr(getattr(owner, name, None), _MARK, None)
    # Whoever wraps a method with `functools.wraps` passes the mark on.
    if not isinstance(method, _Method) or method.owner is not owner:
        method = _Method(owner, name, begin)
    return method.add(telemetry, begin)


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
