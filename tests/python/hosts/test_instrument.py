"""A host's router and pool manager, wrapped in place: the host sees no difference."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
from dataclasses import dataclass
from typing import Any, NoReturn
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest
from pydantic import BaseModel

from orb_learning import Telemetry
from orb_learning.errors import InstrumentationError, OrbLearningError, SpoolWriteError
from orb_learning.events import PoolExecutionComplete, RoutingDecision
from orb_learning.hosts import (
    Instrumentation,
    instrument_pool_manager,
    instrument_router,
    protocols,
)

RESULT = {"status": "completed"}
TASK = {"prompt": "fix it"}


class Manager:
    """Runs tasks at once."""

    def execute_on_pool(self, pool_id: str, task: dict[str, Any], *, timeout: float = 5) -> Any:
        """Run it."""
        return RESULT


class AsyncManager:
    async def execute_on_pool(self, pool_id, task):
        return RESULT


class Slotted:
    __slots__ = ("execute_on_pool",)

    def __init__(self) -> None:
        self.execute_on_pool = lambda pool_id, task: RESULT


class Delegating:
    """Has its method from another object."""

    def __init__(self) -> None:
        self.inner = Manager()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)


class Function:
    def __call__(self, pool_id: str, task: Any) -> Any:
        return RESULT


class Static:
    @staticmethod
    def execute_on_pool(pool_id, task):
        return RESULT


class OfTheClass:
    @classmethod
    def execute_on_pool(cls, pool_id, task):
        assert issubclass(cls, OfTheClass)
        return RESULT


def with_attribute(function: Any) -> Any:
    manager = Manager()
    manager.execute_on_pool = function
    return manager


MANAGERS = {
    "a method": Manager,
    "a method of a base class": type("Derived", (Manager,), {}),
    "a coroutine function": AsyncManager,
    "a static method": Static,
    "a class method": OfTheClass,
    "a class with a static method": lambda: type("Copy", (), dict(vars(Static))),
    "a class with a class method": lambda: type("Copy", (OfTheClass,), dict(vars(OfTheClass))),
    "a slot": Slotted,
    "another object's method": lambda: with_attribute(Manager().execute_on_pool),
    "a function as attribute": lambda: with_attribute(lambda pool_id, task: RESULT),
    "a partial": lambda: with_attribute(functools.partial(lambda x, pool_id, task: RESULT, 1)),
    "a callable object": lambda: with_attribute(Function()),
    "a builtin that hides its signature": lambda: with_attribute({}.pop),
    "a delegated method": Delegating,
    "a mock": lambda: Mock(**{"execute_on_pool.return_value": RESULT}),
    "a mock with a specification": lambda: create_autospec(Manager, instance=True),
    "an asynchronous mock": lambda: AsyncMock(**{"execute_on_pool.return_value": RESULT}),
}


@pytest.fixture(params=MANAGERS)
def manager(request: pytest.FixtureRequest) -> Any:
    return MANAGERS[request.param]()


def call(manager: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the method and await what it returns, if that is to be awaited."""

    async def use() -> Any:
        result = manager.execute_on_pool(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return asyncio.run(use())


def executions(recorded: Any) -> int:
    return sum(isinstance(event, PoolExecutionComplete) for event in recorded())


# In place, and back


def test_whatever_the_method_is_its_calls_are_recorded_and_it_can_be_given_back(
    manager, telemetry, recorded
):
    before, own = manager.execute_on_pool, dict(getattr(manager, "__dict__", {}))
    expected = call(manager, "p", TASK)
    made = instrument_pool_manager(manager, telemetry)
    assert type(made) is Instrumentation
    assert made.telemetry is telemetry
    assert call(manager, "p", TASK) is expected
    assert executions(recorded) == 1

    made.undo()
    assert manager.execute_on_pool == before
    if not isinstance(manager, Mock):
        assert dict(getattr(manager, "__dict__", {})) == own
    assert call(manager, "p", TASK) is expected
    assert executions(recorded) == 1
    made.undo()
    assert manager.execute_on_pool == before


def test_whatever_the_method_is_it_keeps_its_face(manager, telemetry):
    before = manager.execute_on_pool
    faces = [
        inspect.ismethod,
        inspect.isfunction if inspect.isroutine(before) else callable,
    ]
    if not isinstance(before, Mock):  # one of a class claims to be whatever it is asked for
        faces += [inspect.iscoroutinefunction, asyncio.iscoroutinefunction]
    seen = [face(before) for face in faces]
    owner = getattr(before, "__self__", None)
    with instrument_pool_manager(manager, telemetry):
        after = manager.execute_on_pool
        if not inspect.isbuiltin(before):
            assert [face(after) for face in faces] == seen
            assert inspect.signature(after) == inspect.signature(before)
            assert getattr(after, "__self__", None) is owner
        assert getattr(after, "__doc__", None) == before.__doc__
    assert manager.execute_on_pool == before


def test_objects_of_an_instrumented_class_can_call_its_static_method(telemetry, recorded):
    copied = type("Copy", (), dict(vars(Static)))
    with instrument_pool_manager(copied, telemetry):
        assert copied().execute_on_pool("p", TASK) is RESULT
    assert copied().execute_on_pool("p", TASK) is RESULT
    assert executions(recorded) == 1


def test_subclasses_keep_a_class_method_of_their_own_after_undo(telemetry):
    class Base(OfTheClass):
        @classmethod
        def execute_on_pool(cls, pool_id, task):
            return cls

    class Derived(Base):
        pass

    instrument_pool_manager(Base, telemetry).undo()
    assert Derived.execute_on_pool("p", TASK) is Derived


def test_the_class_and_its_other_objects_are_left_alone(telemetry, recorded):
    one, other = Manager(), Manager()
    instrument_pool_manager(one, telemetry)
    other.execute_on_pool("p", TASK)
    assert executions(recorded) == 0
    assert "execute_on_pool" not in vars(other)


def test_a_deep_copy_works_on_itself(telemetry):
    class Counting:
        def __init__(self) -> None:
            self.runs = 0

        def execute_on_pool(self, pool_id, task):
            self.runs += 1

    one = Counting()
    instrument_pool_manager(one, telemetry)
    telemetry.close()
    other = copy.deepcopy(one, {id(telemetry): telemetry})
    other.execute_on_pool("p", TASK)
    assert (one.runs, other.runs) == (0, 1)


def test_an_instrumented_object_can_be_pickled(telemetry):
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    assert pickle.loads(pickle.dumps(manager)).execute_on_pool("p", TASK) == RESULT


# Twice, two, and others


def test_instrumenting_twice_changes_nothing(telemetry, recorded):
    manager = Manager()
    made = instrument_pool_manager(manager, telemetry)
    wrapped = manager.execute_on_pool
    assert instrument_pool_manager(manager, telemetry) is made
    assert manager.execute_on_pool is wrapped
    call(manager, "p", TASK)
    assert executions(recorded) == 1
    made.undo()
    assert "execute_on_pool" not in vars(manager)


def test_it_can_be_done_again_after_undo(telemetry, recorded):
    manager = Manager()
    first = instrument_pool_manager(manager, telemetry)
    first.undo()
    with instrument_pool_manager(manager, telemetry) as second:
        assert second is not first
        first.undo()
        call(manager, "p", TASK)
    call(manager, "p", TASK)
    assert executions(recorded) == 1


def test_each_telemetry_knows_that_it_records_the_pool(telemetry):
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    manager.execute_on_pool("p", TASK)
    assert telemetry.records_pool("p")
    assert not telemetry.records_pool("q")


def test_two_telemetries_each_record_the_same_execution(telemetry, tmp_path, events_in):
    manager = Manager()
    with Telemetry(tmp_path / "other") as other:
        first = instrument_pool_manager(manager, telemetry)
        second = instrument_pool_manager(manager, other)
        assert instrument_pool_manager(manager, telemetry) is first
        assert instrument_pool_manager(manager, other) is second
        task = dict(TASK)
        call(manager, "p", task)
        call(manager, "p", task)
        seen = [
            [(event.type_name, event.task_id, event.attempt) for event in events_in(spool)]
            for spool in (telemetry.home.spool, other.home.spool)
        ]
        assert seen[0] == seen[1]
        assert [attempt for *_, attempt in seen[0]] == [None] * 3 + [2] * 3

        first.undo()
        call(manager, "p", TASK)
        assert (telemetry.stats().captured, other.stats().captured) == (6, 9)
        second.undo()
    assert "execute_on_pool" not in vars(manager)


@pytest.mark.parametrize("wraps", [functools.wraps, lambda function: lambda wrapper: wrapper])
def test_undo_leaves_what_others_wrapped_around_it(telemetry, recorded, wraps):
    manager = Manager()
    made = instrument_pool_manager(manager, telemetry)
    inner = manager.execute_on_pool
    seen = []

    @wraps(inner)
    def theirs(pool_id: str, task: Any) -> Any:
        seen.append(pool_id)
        return inner(pool_id, task)

    manager.execute_on_pool = theirs
    made.undo()
    assert manager.execute_on_pool is theirs
    assert call(manager, "p", TASK) is RESULT
    assert (seen, executions(recorded)) == (["p"], 0)

    again = instrument_pool_manager(manager, telemetry)
    assert call(manager, "p", TASK) is RESULT
    assert (seen, executions(recorded)) == (["p", "p"], 1)
    again.undo()
    assert manager.execute_on_pool is theirs

    manager.execute_on_pool = inner
    made.undo()
    assert call(manager, "p", TASK) is RESULT
    assert executions(recorded) == 1


def test_instrumenting_under_what_others_wrapped_around_it_changes_nothing(telemetry, recorded):
    manager = Manager()
    made = instrument_pool_manager(manager, telemetry)
    inner = manager.execute_on_pool
    manager.execute_on_pool = functools.wraps(inner)(lambda *args: [inner(*args)][0])
    assert instrument_pool_manager(manager, telemetry) is made
    call(manager, "p", TASK)
    assert executions(recorded) == 1


def test_a_method_that_the_host_replaced_is_instrumented_anew(telemetry, recorded):
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    del manager.execute_on_pool
    instrument_pool_manager(manager, telemetry)
    call(manager, "p", TASK)
    assert executions(recorded) == 1


def test_an_object_that_borrows_an_instrumented_method_gets_a_wrapper_of_its_own(
    telemetry, recorded
):
    lender = Manager()
    instrument_pool_manager(lender, telemetry)
    borrower = with_attribute(lender.execute_on_pool)
    made = instrument_pool_manager(borrower, telemetry)
    assert made is not instrument_pool_manager(lender, telemetry)


def test_one_object_may_be_both_router_and_pool_manager(telemetry, recorded):
    class Both(Manager):
        def route_task(self, task):
            return "large"

    host = Both()
    instrument_router(host, telemetry)
    made = instrument_pool_manager(host, telemetry)
    assert host.route_task(TASK) == "large"
    host.execute_on_pool("p", TASK)
    assert len({event.task_id for event in recorded()}) == 1
    made.undo()
    assert "route_task" in vars(host)


def test_a_call_that_runs_while_it_is_undone_is_recorded_to_its_end(telemetry, recorded):
    class Undoing:
        def execute_on_pool(self, pool_id, task):
            made.undo()

    manager = Undoing()
    made = instrument_pool_manager(manager, telemetry)
    manager.execute_on_pool("p", TASK)
    manager.execute_on_pool("p", TASK)
    assert executions(recorded) == 1


# What cannot be instrumented


@dataclass(frozen=True)
class Frozen:
    def execute_on_pool(self, pool_id, task): ...


class NoPlace:
    __slots__ = ()

    def execute_on_pool(self, pool_id, task): ...


class Strict(BaseModel):
    def execute_on_pool(self, pool_id, task): ...


class NoFunction:
    execute_on_pool = 5


class Broken:
    @property
    def execute_on_pool(self) -> NoReturn:
        raise AttributeError("not connected")


@pytest.mark.parametrize("owner", [object(), None, Frozen(), NoPlace(), Strict(), NoFunction()])
def test_what_lets_no_method_be_replaced_is_refused_and_told_what_to_do(telemetry, owner):
    with pytest.raises(InstrumentationError) as caught:
        instrument_pool_manager(owner, telemetry)
    assert str(caught.value).startswith(
        f"cannot instrument execute_on_pool() of a {type(owner).__name__}: "
    )
    assert str(caught.value).endswith("use `telemetry.execution()` around the call instead")
    assert isinstance(caught.value, OrbLearningError)


def test_a_property_that_gives_no_method_is_refused(telemetry):
    with pytest.raises(InstrumentationError, match="not connected"):
        instrument_pool_manager(Broken(), telemetry)


def test_a_router_needs_a_method_to_route(telemetry):
    with pytest.raises(InstrumentationError, match=r"route_task\(\) of a Manager"):
        instrument_router(Manager(), telemetry)


# What is read of a call's arguments


def by_keyword(pool_id, task): ...
def by_place(pool_id, task, /): ...
def by_name(*, pool_id, task): ...
def by_anything(*args, **kwargs): ...
def by_other_names(where, what): ...
def by_pool(pool, request, timeout=5): ...
def in_another_order(task, pool_id="p"): ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (by_keyword, ("p", TASK), {}),
        (by_keyword, ("p",), {"task": TASK}),
        (by_keyword, (), {"task": TASK, "pool_id": "p"}),
        (by_place, ("p", TASK), {}),
        (by_name, (), {"task": TASK, "pool_id": "p"}),
        (by_anything, ("p", TASK), {}),
        (by_anything, ("p",), {"task_data": TASK}),
        (by_anything, (), {"task": TASK, "pool_id": "p"}),
        (by_other_names, ("p", TASK), {}),
        (by_pool, ("p", TASK), {}),
        (by_pool, ("p",), {"request": TASK, "timeout": 1}),
        (in_another_order, (TASK, "p"), {}),
        ({}.pop, ("p", TASK), {}),
    ],
)
def test_pool_and_task_are_found_wherever_the_call_has_them(
    telemetry, recorded, function, args, kwargs
):
    manager = with_attribute(function)
    instrument_pool_manager(manager, telemetry)
    manager.execute_on_pool(*args, **kwargs)
    decision, start, _ = recorded()
    assert (start.pool_id, decision.task_description) == ("p", "fix it")


@pytest.mark.parametrize("args", [(), ("p",), ("p", TASK, 3), (TASK,)])
def test_a_wrong_call_fails_as_it_did_and_is_recorded_as_that(telemetry, recorded, args):
    manager = Manager()
    with pytest.raises(TypeError) as expected:
        manager.execute_on_pool(*args)
    instrument_pool_manager(manager, telemetry)
    with pytest.raises(TypeError) as caught:
        manager.execute_on_pool(*args)
    assert str(caught.value) == str(expected.value)
    assert recorded()[-1].error_type == "crash"


def test_a_wrong_call_with_an_unknown_keyword_fails_as_it_did(telemetry, recorded):
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        manager.execute_on_pool("p", TASK, speed=9)
    assert recorded()[-1].success is False


# What fails on our side


def test_a_spool_that_refuses_changes_nothing_for_the_host(home):
    home.root.write_text("in the way")
    telemetry = Telemetry(home.root)
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    assert manager.execute_on_pool("p", TASK) is RESULT
    assert telemetry.stats().dropped == 3


def test_in_strict_mode_a_failed_write_is_an_error_and_leaves_nothing_behind(home, recorded):
    home.root.write_text("in the way")
    telemetry = Telemetry(home.root, strict=True)
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    with pytest.raises(SpoolWriteError):
        manager.execute_on_pool("p", TASK)
    home.root.unlink()
    manager.execute_on_pool("p", {"prompt": "one"})
    manager.execute_on_pool("p", {"prompt": "two"})
    assert len({event.task_id for event in recorded()}) == 2


def test_what_cannot_be_recorded_changes_nothing_for_the_host(telemetry, monkeypatch, caplog):
    class Hostile(type):
        @property
        def __name__(cls) -> NoReturn:
            raise RuntimeError

    class HostileError(Exception, metaclass=Hostile):
        pass

    error = HostileError()
    manager = with_attribute(Mock(side_effect=error))
    instrument_pool_manager(manager, telemetry)
    with pytest.raises(HostileError) as caught:
        manager.execute_on_pool("p", TASK)
    assert caught.value is error
    assert caplog.messages[0].startswith("cannot record the end of a call: ")


def test_a_tasks_equality_and_truth_are_never_asked_for(telemetry, recorded):
    class Task:
        prompt = property(lambda self: "fix it")

        def __bool__(self) -> NoReturn:
            raise RuntimeError

        __eq__ = __hash__ = __bool__

    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    assert manager.execute_on_pool("p", Task()) is RESULT
    assert executions(recorded) == 1


class Name(str):
    """A key that cannot be compared."""

    __slots__ = ()

    def __eq__(self, other: object) -> NoReturn:
        raise RuntimeError

    __hash__ = str.__hash__


def test_a_task_that_cannot_be_read_changes_nothing_for_the_host(telemetry, caplog):
    manager = Manager()
    instrument_pool_manager(manager, telemetry)
    assert manager.execute_on_pool("p", {Name("prompt"): "fix it"}) is RESULT
    assert caplog.messages[0].startswith("cannot record a call of execute_on_pool(): ")
    assert "RuntimeError" in caplog.messages[0]


def test_in_strict_mode_a_task_that_cannot_be_read_is_an_error(home):
    manager = Manager()
    instrument_pool_manager(manager, Telemetry(home.root, strict=True))
    with pytest.raises(RuntimeError):
        manager.execute_on_pool("p", {Name("prompt"): "fix it"})


def test_a_decision_is_what_a_router_is_instrumented_for(telemetry, recorded):
    class Router:
        def route_task(self, task):
            return {"tier": "large"}

    router = Router()
    with instrument_router(router, telemetry):
        router.route_task(TASK)
    router.route_task(TASK)
    (decision,) = recorded()
    assert isinstance(decision, RoutingDecision)


def test_a_host_that_keeps_to_the_protocols_can_be_instrumented(telemetry, recorded):
    class Host(protocols.Router, protocols.PoolManager):
        def route_task(self, task):
            return super().route_task(task)

    host = Host()
    instrument_router(host, telemetry)
    instrument_pool_manager(host, telemetry)
    assert host.route_task(TASK) is None
    assert host.execute_on_pool("p", TASK) is None
    assert len({event.task_id for event in recorded()}) == 1


@pytest.mark.parametrize("method", ["", "no name", 7, None, Manager().execute_on_pool])
@pytest.mark.parametrize("instrument", [instrument_router, instrument_pool_manager])
def test_what_is_no_methods_name_is_refused(telemetry, instrument, method):
    with pytest.raises(InstrumentationError, match="expected a method's name, such as 'route'"):
        instrument(Manager(), telemetry, method=method)


def test_one_method_is_a_routers_or_a_pool_managers(telemetry):
    host = Manager()
    instrument_pool_manager(host, telemetry)
    with pytest.raises(InstrumentationError, match="recorded already, as a pool manager's"):
        instrument_router(host, telemetry, method="execute_on_pool")
