"""A function of any shape, each of whose calls is watched from its beginning to its end."""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing, suppress
from types import FunctionType
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
        shape = _generator_function
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
        call.returned(result)
        return result

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
    elif issubclass(kind, Coroutine):
        call.leave()
        return _awaited(result, call)
    elif issubclass(kind, Awaitable):
        call.leave()  # its end is seen only by who takes its place, and the host may know its class
    else:
        call.returned(result)
    return result


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
    call.returned(value)
    return value


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
