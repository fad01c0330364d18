"""Watched functions: what the caller sees is what it saw before, whatever shape it has."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import functools
import gc
import inspect
import subprocess
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, ClassVar, Generic, NoReturn, TypeVar
from unittest import mock
from unittest.mock import AsyncMock, Mock

import pytest

from orb_learning.capture import _wrapping, watched

T = TypeVar("T")


class Log(list[Any]):
    """What a watched function's calls are told, in order."""

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Log:
        self.append(("began", args, kwargs))
        return self

    def leave(self) -> None:
        self.append("left")

    def enter(self) -> None:
        self.append("entered")

    def returned(self, result: object) -> None:
        self.append(("returned", result))

    def failed(self, error: BaseException) -> None:
        self.append(("failed", error))


BEGAN = ("began", (1,), {"b": 2})


@pytest.fixture
def log() -> Log:
    return Log()


def plain(a, *, b):
    return [a, b]


async def coroutine(a, *, b):
    return [a, b]


def generator(a, *, b):
    got = yield a
    yield [got, b]
    return "end"


async def stream(a, *, b):
    got = yield a
    yield [got, b]


def raising(a, *, b):
    raise b


async def raising_later(a, *, b):
    raise b


def raising_generator(a, *, b):
    yield a
    raise b


async def raising_stream(a, *, b):
    yield a
    raise b


async def drain(items: Any) -> list[Any]:
    return [item async for item in items]


ERRORS = [ValueError(), TimeoutError(), asyncio.CancelledError(), GeneratorExit()]
EXITS = [KeyboardInterrupt(), SystemExit(3)]
KINDS = [
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
    inspect.isgeneratorfunction,
    inspect.isfunction,
]


@pytest.mark.parametrize("function", [plain, coroutine, generator, stream])
def test_a_watched_function_is_of_the_same_kind_and_signature(log, function):
    wrapper = watched(function, log.begin)
    assert [kind(wrapper) for kind in KINDS] == [kind(function) for kind in KINDS]
    assert inspect.signature(wrapper) == inspect.signature(function)
    assert wrapper.__wrapped__ is function
    assert (wrapper.__name__, wrapper.__module__) == (function.__name__, function.__module__)
    assert log == []


def test_a_plain_function_returns_its_own_result(log):
    result = watched(plain, log.begin)(1, b=2)
    assert result == [1, 2]
    assert log == [BEGAN, ("returned", result)]
    assert log[1][1] is result


def test_a_coroutine_function_returns_its_own_result(log):
    call = watched(coroutine, log.begin)(1, b=2)
    assert inspect.iscoroutine(call)
    assert log == [], "nothing runs before it is awaited"
    result = asyncio.run(call)
    assert log == [BEGAN, ("returned", result)]
    assert log[1][1] is result


def test_a_generator_yields_takes_and_returns_what_it_did(log):
    items = watched(generator, log.begin)(1, b=2)
    assert log == []
    assert next(items) == 1
    assert items.send("sent") == ["sent", 2]
    assert log == [BEGAN]
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value == "end"
    assert log == [BEGAN, ("returned", "end")]


def test_an_asynchronous_generator_yields_and_takes_what_it_did(log):
    async def use() -> None:
        items = watched(stream, log.begin)(1, b=2)
        assert log == []
        assert await anext(items) == 1
        assert await items.asend("sent") == ["sent", 2]
        assert log == [BEGAN]
        assert await anext(items, "end") == "end"

    asyncio.run(use())
    assert log == [BEGAN, ("returned", None)]


@pytest.mark.parametrize("error", [*ERRORS, *EXITS], ids=repr)
def test_a_plain_functions_exception_is_the_same_object(log, error):
    with pytest.raises(type(error)) as caught:
        watched(raising, log.begin)(1, b=error)
    assert caught.value is error
    assert error.__cause__ is None
    assert log[1:] == [("failed", error)]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_coroutines_exception_is_the_same_object(log, error):
    async def use() -> None:
        with pytest.raises(type(error)) as caught:
            await watched(raising_later, log.begin)(1, b=error)
        assert caught.value is error

    asyncio.run(use())
    assert log[1:] == [("failed", error)]


@pytest.mark.parametrize("error", EXITS, ids=repr)
def test_an_exit_from_a_coroutine_ends_the_loop_as_it_did(log, error):
    with pytest.raises(type(error)):
        asyncio.run(watched(raising_later, log.begin)(1, b=error))
    assert log[1:] == [("failed", error)]


@pytest.mark.parametrize("error", [*ERRORS, *EXITS], ids=repr)
def test_a_generators_exception_is_the_same_object(log, error):
    with pytest.raises(type(error)) as caught:
        list(watched(raising_generator, log.begin)(1, b=error))
    assert caught.value is error
    assert log[1:] == [("failed", error)]


@pytest.mark.parametrize("error", [ValueError(), TimeoutError(), asyncio.CancelledError()])
def test_an_asynchronous_generators_exception_is_the_same_object(log, error):
    async def use() -> None:
        with pytest.raises(type(error)) as caught:
            await drain(watched(raising_stream, log.begin)(1, b=error))
        assert caught.value is error

    asyncio.run(use())
    assert log[1:] == [("failed", error)]


def test_a_generator_that_is_closed_early_has_been_cancelled(log):
    items = watched(generator, log.begin)(1, b=2)
    next(items)
    items.close()
    assert [type(entry[1]) for entry in log[1:]] == [GeneratorExit]

    async def use() -> None:
        items = watched(stream, log.begin)(1, b=2)
        await anext(items)
        await items.aclose()

    log.clear()
    asyncio.run(use())
    assert [type(entry[1]) for entry in log[1:]] == [GeneratorExit]


def test_what_is_thrown_into_a_generator_reaches_it(log):
    def session():
        try:
            yield "open"
        except ValueError:
            return

    with contextmanager(watched(session, log.begin))() as state:
        assert state == "open"
        raise ValueError
    assert log == [("began", (), {}), ("returned", None)]


def test_what_is_thrown_into_an_asynchronous_generator_reaches_it(log):
    async def session():
        try:
            yield "open"
        except ValueError:
            return

    async def use() -> None:
        async with asynccontextmanager(watched(session, log.begin))() as state:
            assert state == "open"
            raise ValueError

    asyncio.run(use())
    assert log == [("began", (), {}), ("returned", None)]


def test_an_asynchronous_generator_that_is_left_is_closed_inside_too(log):
    closed = []

    async def stream():
        try:
            yield 1
        finally:
            closed.append(True)

    async def use() -> None:
        items = watched(stream, log.begin)()
        await anext(items)
        await items.aclose()
        assert closed == [True]

    asyncio.run(use())


@pytest.mark.parametrize("function", [plain, coroutine, generator, stream])
def test_a_wrong_call_is_the_functions_own_type_error(log, function):
    async def use(call: Any) -> None:
        if inspect.isasyncgen(call):
            await drain(call)
        elif inspect.isgenerator(call):
            list(call)
        else:
            await call

    with pytest.raises(TypeError) as expected:
        function(1)
    with pytest.raises(TypeError) as caught:
        asyncio.run(use(watched(function, log.begin)(1)))
    assert str(caught.value) == str(expected.value)
    assert log == [("began", (1,), {}), ("failed", caught.value)]


# Plain functions that return something to await


def test_a_returned_coroutine_is_watched_until_it_ends(log):
    def deferred(a, *, b):
        return coroutine(a, b=b)

    async def use() -> None:
        awaited = watched(deferred, log.begin)(1, b=2)
        assert inspect.iscoroutine(awaited)
        assert log == [BEGAN, "left"]
        assert await awaited == [1, 2]

    asyncio.run(use())
    assert log == [BEGAN, "left", "entered", ("returned", [1, 2])]


def test_a_returned_coroutines_exception_is_the_same_object(log):
    error = ValueError()

    async def use() -> None:
        with pytest.raises(ValueError) as caught:
            await watched(lambda: raising_later(1, b=error), log.begin)()
        assert caught.value is error

    asyncio.run(use())
    assert log[1:] == ["left", "entered", ("failed", error)]


def test_a_returned_coroutine_is_cancelled_as_it_was(log):
    async def use() -> None:
        def waiting() -> Any:
            return asyncio.Event().wait()

        task = asyncio.ensure_future(watched(waiting, log.begin)())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

    asyncio.run(use())
    assert type(log[-1][1]) is asyncio.CancelledError


def test_a_returned_task_is_the_same_object(log):
    async def use() -> None:
        task = asyncio.ensure_future(coroutine(1, b=2))
        assert watched(lambda: task, log.begin)() is task
        assert log[1:] == ["left"]
        result = await task
        assert log[1:] == ["left", ("returned", result)]

    asyncio.run(use())


@pytest.mark.parametrize("end", ["result", "exception", "cancelled"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_returned_future_is_the_same_object_and_watched_until_it_ends(log, end, is_done):
    error = ValueError()

    async def use() -> None:
        future = asyncio.get_running_loop().create_future()

        def finish() -> None:
            {
                "result": lambda: future.set_result("done"),
                "exception": lambda: future.set_exception(error),
                "cancelled": future.cancel,
            }[end]()

        if is_done:
            finish()
        assert watched(lambda: future, log.begin)() is future
        assert log[1:] == ["left"]
        if not is_done:
            finish()
        await asyncio.wait([future])
        await asyncio.sleep(0)
        if end == "exception":
            assert future.exception() is error

    asyncio.run(use())
    assert (
        log[2]
        == {
            "result": ("returned", "done"),
            "exception": ("failed", error),
            "cancelled": log[2],
        }[end]
    )
    assert end != "cancelled" or type(log[2][1]) is concurrent.futures.CancelledError


@pytest.mark.parametrize("end", ["result", "exception", "cancelled"])
def test_a_threads_future_is_the_same_object_and_watched_until_it_ends(log, end):
    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    assert watched(lambda: future, log.begin)() is future
    assert log[1:] == ["left"]
    error = ValueError()
    {
        "result": lambda: future.set_result("done"),
        "exception": lambda: future.set_exception(error),
        "cancelled": future.cancel,
    }[end]()
    kind, value = log[2]
    assert kind == ("returned" if end == "result" else "failed")
    assert {"result": value == "done", "exception": value is error, "cancelled": True}[end]


def test_a_thread_that_completes_a_future_goes_on_in_its_own_context():
    place: ContextVar[str] = ContextVar("place", default="outside")

    class Wandering(Log):
        def returned(self, result: object) -> None:
            place.set("inside")

    future: concurrent.futures.Future[str] = concurrent.futures.Future()
    watched(lambda: future, Wandering().begin)()

    def complete() -> str:
        future.set_result("done")
        return place.get()

    assert copy_context().run(complete) == "outside"


def test_an_error_that_nobody_asks_a_future_for_is_still_reported_by_asyncio(log):
    reports: list[dict[str, Any]] = []

    async def use() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        watched(lambda: asyncio.ensure_future(raising_later(1, b=ValueError("boom"))), log.begin)()
        for _ in range(3):
            await asyncio.sleep(0)
        log.clear()
        gc.collect()

    asyncio.run(use())
    assert [report["message"] for report in reports] == ["Task exception was never retrieved"]


def giving(result: object) -> Callable[[], Any]:
    """Return a plain function that returns what it is given."""
    return lambda: result


class Handle:
    """What a host gives to await, of its own class."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def __await__(self) -> Any:
        return (raising_later(1, b=self.error) if self.error else coroutine(1, b=2)).__await__()


class Slotted:
    __slots__ = ("error",)
    __init__ = Handle.__init__
    __await__ = Handle.__await__


class Abstract(Awaitable[Any]):
    __init__ = Handle.__init__
    __await__ = Handle.__await__


class Parametric(Generic[T]):
    __init__ = Handle.__init__
    __await__ = Handle.__await__


@dataclasses.dataclass(frozen=True)
class Frozen:
    error: BaseException | None = None
    __await__ = Handle.__await__


class Listed:
    classes: ClassVar[list[type]] = []
    __init__ = Handle.__init__
    __await__ = Handle.__await__

    def __init_subclass__(cls, **_: Any) -> None:
        Listed.classes.append(cls)


class ListedSlots(Slotted):
    __slots__ = ()

    def __init_subclass__(cls) -> None:
        Listed.classes.append(cls)


class Listing(type):
    def __new__(cls, *args: Any) -> Any:
        Listed.classes.append(made := super().__new__(cls, *args))
        return made


class OfAListingClass(Handle, metaclass=Listing):
    pass


Listed.classes.clear()

OWN = [Handle, Slotted, Abstract, Parametric, Frozen, Listed, ListedSlots, OfAListingClass]


@pytest.mark.parametrize("kind", OWN)
def test_an_awaitable_of_the_hosts_own_class_is_watched_until_it_ends(log, kind):
    async def use() -> None:
        handle = kind()
        assert watched(lambda: handle, log.begin)() is handle
        assert isinstance(handle, kind)
        assert type(handle).__name__ == kind.__name__
        assert log[1:] == ["left"]
        assert await handle == [1, 2]
        assert type(handle) is kind
        assert log[1:] == ["left", "entered", ("returned", [1, 2])]
        assert await handle == [1, 2]
        assert len(log) == 4, "it ended once"

    asyncio.run(use())
    assert Listed.classes == []


@pytest.mark.parametrize("kind", OWN)
def test_an_awaitable_of_the_hosts_own_class_that_fails_ends_its_call(log, kind):
    async def use() -> None:
        with pytest.raises(ValueError, match="wrong"):
            await watched(lambda: kind(error), log.begin)()

    error = ValueError("wrong")
    asyncio.run(use())
    assert log[1:] == ["left", "entered", ("failed", error)]


@pytest.mark.parametrize("kind", OWN)
def test_an_awaitable_that_two_calls_return_ends_both(log, kind):
    async def use() -> None:
        handle = watched(kind, log.begin)()
        assert await watched(giving(handle), log.begin)() == [1, 2]

    asyncio.run(use())
    assert log.count(("returned", [1, 2])) == 2


def test_an_awaitable_that_is_given_up_is_a_failure(log):
    class Never:
        def __await__(self) -> Any:
            yield from asyncio.Future()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watched(Never, log.begin)(), 0.01)

    asyncio.run(use())
    assert type(log[-1][1]) is asyncio.CancelledError


def test_an_awaitable_whose_class_is_made_in_c_is_left_alone(log):
    class Own:
        """Stands for such a class: nothing can be derived from it."""

        def __await__(self) -> Any:
            return coroutine(1, b=2).__await__()

    async def use() -> None:
        handle = Own()
        with mock.patch.object(_wrapping, "_bases", return_value=[(bool,)]):
            assert watched(lambda: handle, log.begin)() is handle
        assert await handle == [1, 2]

    asyncio.run(use())
    assert log[1:] == ["left"]


@pytest.mark.parametrize("kind", [Handle, Slotted])
def test_a_coroutine_that_returns_something_to_await_ends_with_that(log, kind):
    async def submit() -> Any:
        return kind()

    async def use() -> None:
        for function in (submit, giving(submit())):
            handle = await watched(function, log.begin)()
            assert not [entry for entry in log if entry[0] == "returned"]
            assert await handle == [1, 2]
            assert log.pop() == ("returned", [1, 2])

    asyncio.run(use())


def test_a_function_that_returns_an_asynchronous_generator_is_watched_until_that_ends(log):
    async def items() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def use() -> None:
        stream = watched(giving(items()), log.begin)()
        assert inspect.isasyncgen(stream)
        assert log[1:] == ["left"]
        assert [item async for item in stream] == [1, 2]

    asyncio.run(use())
    assert log[1:] == ["left", "entered", ("returned", None)]


def test_a_generator_that_may_be_awaited_still_may(log):
    @types.coroutine
    def old_style() -> Any:
        yield
        return "done"

    async def use() -> None:
        assert await watched(old_style, log.begin)() == "done"
        assert await watched(giving(old_style()), log.begin)() == "done"

    asyncio.run(use())
    assert log.count(("returned", "done")) == 2


def test_a_result_that_cannot_be_asked_for_its_class_is_the_same_object(log):
    class Gone:
        @property
        def __class__(self) -> NoReturn:
            raise RuntimeError

    gone = Gone()
    assert watched(lambda: gone, log.begin)() is gone
    assert log[1][1] is gone


@pytest.mark.parametrize("double", [Mock(return_value="done"), AsyncMock(return_value="done")])
def test_a_mock_is_a_function_like_any_other(log, double):
    wrapper = watched(double, log.begin)
    assert asyncio.iscoroutinefunction(wrapper) is asyncio.iscoroutinefunction(double)

    async def use() -> Any:
        result = wrapper(1, b=2)
        return await result if inspect.isawaitable(result) else result

    assert asyncio.run(use()) == "done"
    double.assert_called_once_with(1, b=2)
    assert log[-1] == ("returned", "done")


def test_a_partial_of_a_coroutine_function_is_one(log):
    wrapper = watched(functools.partial(coroutine, b=2), log.begin)
    assert inspect.iscoroutinefunction(wrapper)
    assert asyncio.run(wrapper(1)) == [1, 2]


def test_an_object_with_an_asynchronous_call_is_watched_until_it_ends(log):
    class Function:
        async def __call__(self, a: int) -> int:
            return a

    assert asyncio.run(watched(Function(), log.begin)(1)) == 1
    assert log[-1] == ("returned", 1)


def test_a_host_without_asyncio_does_not_get_it(tmp_path):
    code = (
        "import sys; from orb_learning import instrument_router, Telemetry\n"
        "class Router:\n"
        "    def route_task(self, task): return 'large'\n"
        "router = Router(); instrument_router(router, Telemetry(sys.argv[1]))\n"
        "router.route_task('x'); print('asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
