"""A function of any shape, each of whose calls is watched from its beginning to its end."""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing, suppress
from types import AsyncGeneratorType, FunctionType, GeneratorType
from typing import Any, Protocol


class Call(Protocol):
    """One call of a watched function."""

    def leave(self) -> None:
        """Note that the caller goes on with something to await, and is no part of the call."""

    def enter(self) -> None:
        """Note that the call goes on in the context that awaits it."""

    def returned(self, result: object) -> None:
        """Note that the call has ended, with a result."""

    def failed(self, error: BaseException) -> None:
        """Note that the call has ended, with an exception."""


Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call]


def watched(function: Callable[..., Any], begin: Begin) -> Any:
    """Return a function of the same kind and signature whose calls do the same and are watched.

    Args:
        function: a coroutine function, a generator function of either kind, or any other callable.
        begin: is given each call's arguments before the function gets them.
    """
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    shape = _function
    if type(inner) is not FunctionType:
        pass  # a mock claims to be of every kind; what it returns is looked at
    elif inspect.iscoroutinefunction(inner):
        shape = _coroutine_function
    elif inspect.isasyncgenfunction(inner):
        shape = _async_generator_function
    elif inspect.isgeneratorfunction(inner):
        shape = _awaited_generator_function if _is_awaited(inner.__code__) else _generator_function
    wrapper = functools.update_wrapper(shape(function, begin), function, assigned=())
    for name in functools.WRAPPER_ASSIGNMENTS:
        with suppress(AttributeError, TypeError):  # a mock's are no texts
            setattr(wrapper, name, getattr(function, name))
    return wrapper


def _coroutine_function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return _when_done(result, call)

    return wrapper


def _async_generator_function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = begin(args, kwargs)
        try:
            async with aclosing(function(*args, **kwargs)) as items:
                step = items.asend(None)
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        break
                    try:
                        step = items.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = items.athrow(error)
        except BaseException as error:
            call.failed(error)
            raise
        call.returned(None)

    return wrapper


def _generator_function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = begin(args, kwargs)
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        call.returned(result)
        return result

    return wrapper


def _awaited_generator_function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    return types.coroutine(_generator_function(function, begin))


def _is_awaited(code: types.CodeType) -> bool:
    """Tell whether `types.coroutine` has made a generator something to await."""
    return bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def _function(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = begin(args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return _when_done(result, call)

    return wrapper


def _when_done(result: Any, call: Call) -> Any:
    """Return a call's result as it is, and tell the call of its end when that comes."""
    # Not `isinstance`: that asks a proxy for what it stands for, which may not exist yet.
    kind = type(result)
    if issubclass(kind, _futures()):
        call.leave()
        result.add_done_callback(functools.partial(_in_its_own_context, call))
    elif issubclass(kind, Coroutine) or (kind is GeneratorType and _is_awaited(result.gi_code)):
        call.leave()
        return _awaited(result, call)
    elif kind is AsyncGeneratorType:
        call.leave()
        return _async_generator_function(lambda: result, lambda *_: _entered(call))()
    elif issubclass(kind, Awaitable):
        call.leave()
        _watch_await(result, call)
    else:
        call.returned(result)
    return result


def _entered(call: Call) -> Call:
    call.enter()
    return call


class _Derived:
    def __init_subclass__(cls, **_: object) -> None:
        pass  # the host's own may keep a list of its classes


class _DerivedWithSlots:
    __slots__ = ()
    __init_subclass__ = _Derived.__init_subclass__


_CLASS = object.__dict__["__class__"]
"""Sets an object's class whatever its own `__setattr__` or `__class__` does."""


def _watch_await(result: Any, call: Call) -> None:
    """Tell a call of the end of an object of the host's own class, which stays that very object.

    Its end is seen only by who takes the place of its `__await__`, which is looked up in its class.
    So it is of a class derived from its own until it is awaited. One whose class is made in C, or
    forbids it otherwise, has no end.
    """
    kind = type(result)

    def __await__(self: Any) -> Generator[Any, Any, Any]:  # noqa: N807 - it is that one
        _CLASS.__set__(self, kind if type(self) is derived else type(self))
        return _steps(kind, self, call)

    told = {"__await__": __await__, "__slots__": (), "__doc__": kind.__doc__}
    told |= {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    for bases in _bases(kind):
        with suppress(Exception):
            # Not by calling the metaclass, which may keep a list of classes, too.
            derived = type.__new__(type(kind), kind.__name__, bases, told)
            _CLASS.__set__(result, derived)
            return


def _bases(kind: type) -> list[tuple[type, ...]]:
    """Return what a class is derived with, so that no `__init_subclass__` of a host's is called."""
    owner = next(cls for cls in kind.__mro__ if "__init_subclass__" in cls.__dict__)
    if owner.__module__ in ("builtins", "typing", __name__):
        return [(kind,)]
    return [(_Derived, kind), (_DerivedWithSlots, kind)]


def _steps(kind: Any, awaited: Any, call: Call) -> Generator[Any, Any, Any]:
    call.enter()
    try:
        value = yield from kind.__await__(awaited)
    except BaseException as error:
        call.failed(error)
        raise
    return _when_done(value, call)


def _futures() -> tuple[type, ...]:
    # Importing them takes longer than all else that is imported here; who has one has done it.
    modules = (sys.modules.get(name) for name in ("asyncio", "concurrent.futures"))
    return tuple(module.Future for module in modules if module is not None)


async def _awaited(result: Coroutine[Any, Any, Any], call: Call) -> Any:
    call.enter()
    try:
        value = await result
    except BaseException as error:
        call.failed(error)
        raise
    return _when_done(value, call)


def _in_its_own_context(call: Call, future: Any) -> None:
    # A thread that completes a future goes on with work that is no part of the call.
    contextvars.copy_context().run(_future_done, call, future)


def _future_done(call: Call, future: Any) -> None:
    if future.cancelled():
        from concurrent.futures import CancelledError

        call.failed(CancelledError())
    # `exception()` would tell asyncio that somebody has seen it, and an error unseen is logged.
    elif (error := future._exception) is not None:
        call.failed(error)
    else:
        call.returned(future.result())
