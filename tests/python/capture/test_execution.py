"""`execution()`: a block or a function, measured and recorded, and otherwise as it was."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import threading
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from orb_learning import Telemetry, current_execution
from orb_learning._types import task_uuid
from orb_learning.capture import RunningExecution, _execution, _task_context
from orb_learning.errors import InvalidEventError, SpoolWriteError
from orb_learning.events import InvalidEvent, RoutingDecision, RoutingOutcome
from orb_learning.home import Home
from orb_learning.staging import load

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
WHAT = {"task_type": "refactor", "repo": "acme/api", "model_tier": "large"}


@pytest.fixture
def pairs(recorded: Any) -> Any:
    """Return each decision with the outcome that follows it, of the executions in order."""

    def read() -> list[tuple[RoutingDecision, RoutingOutcome]]:
        events = recorded()
        decisions = [event for event in events if isinstance(event, RoutingDecision)]
        outcomes = {event.task_id: event for event in events if isinstance(event, RoutingOutcome)}
        assert len(decisions) == len(outcomes) == len(events) / 2
        return [(decision, outcomes[decision.task_id]) for decision in decisions]

    return read


@pytest.fixture(params=["with", "async with"])
def within(request: pytest.FixtureRequest) -> Any:
    """Run a function of the execution inside its block, in one of its two forms."""

    def run(execution: RunningExecution, block: Any) -> Any:
        if request.param == "with":
            with execution as run:
                return block(run)

        async def use() -> Any:
            async with execution as run:
                return block(run)

        return asyncio.run(use())

    return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Move the system's clocks by hand."""
    now = {"monotonic": 100.0, "process_time": 7.0}
    monkeypatch.setattr("time.monotonic", lambda: now["monotonic"])
    monkeypatch.setattr("time.process_time", lambda: now["process_time"])
    return now


def fail(error: BaseException) -> Any:
    raise error


# What is recorded


def test_a_block_is_a_decision_and_an_outcome(telemetry, within, pairs, clock):
    def block(run: RunningExecution) -> None:
        clock["monotonic"] += 12.5
        clock["process_time"] += 3.25
        run.quality_score = 92
        run.actual_cost = 0.31
        run.solution_summary = "pin the parser"
        run.worker = "w-1"

    within(telemetry.execution(**WHAT, propensity=0.9, branch="main"), block)
    ((decision, outcome),) = pairs()
    assert {key: getattr(decision, key) for key in WHAT} == WHAT
    assert (decision.propensity, decision.metadata) == (0.9, {"branch": "main"})
    assert (outcome.success, outcome.attempt) == (True, None)
    assert (outcome.duration_seconds, outcome.cpu_time_seconds) == (12.5, 3.25)
    assert outcome.duration_source == "measured"
    assert (outcome.quality_score, outcome.actual_cost) == (92, 0.31)
    assert (outcome.solution_summary, outcome.metadata) == ("pin the parser", {"worker": "w-1"})


def test_a_block_that_says_nothing_was_a_success_of_unknown_quality_and_cost(
    telemetry, within, pairs
):
    within(telemetry.execution(), lambda run: None)
    ((decision, outcome),) = pairs()
    assert (decision.task_type, decision.repo, decision.model_tier) == ("unknown",) * 3
    assert outcome.success is True
    assert (outcome.quality_score, outcome.actual_cost, outcome.error_type) == (None,) * 3
    assert outcome.duration_seconds >= 0


@pytest.mark.parametrize("name", ["duration_seconds", "duration"])
def test_a_duration_that_a_block_says_is_reported(telemetry, pairs, name):
    with telemetry.execution() as run:
        setattr(run, name, 7)
    ((_, outcome),) = pairs()
    assert (outcome.duration_seconds, outcome.duration_source) == (7, None)
    assert outcome.metadata is None


def test_what_a_router_does_not_say_is_unknown(telemetry, pairs):
    with telemetry.execution(file_count=0, complexity_score=0):
        pass
    ((decision, _),) = pairs()
    assert (decision.file_count, decision.complexity_score) == (0, 0)
    assert (decision.estimated_tokens, decision.routing_confidence) == (None, None)


def test_a_block_has_the_same_result_as_without_it(telemetry, within):
    result = object()
    assert within(telemetry.execution(), lambda run: result) is result


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("boom"), "crash", "ValueError: boom"),
        (TimeoutError("late"), "timeout", "TimeoutError: late"),
        (asyncio.CancelledError(), "cancelled", "CancelledError"),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
        (SystemExit(3), "cancelled", "SystemExit: 3"),
        (GeneratorExit(), "cancelled", "GeneratorExit"),
    ],
    ids=repr,
)
def test_an_exception_is_recorded_and_is_the_same_object(telemetry, pairs, error, kind, message):
    with pytest.raises(type(error)) as caught, telemetry.execution(**WHAT) as run:
        run.quality_score = 10
        run.success = True
        raise error
    assert caught.value is error
    ((_, outcome),) = pairs()
    assert (outcome.success, outcome.error_type) == (False, kind)
    assert (outcome.error_message, outcome.quality_score) == (message, 10)


def test_an_exception_leaves_an_asynchronous_block_as_the_same_object(telemetry, within, pairs):
    error = ValueError("boom")
    with pytest.raises(ValueError) as caught:
        within(telemetry.execution(), lambda run: fail(error))
    assert caught.value is error
    assert pairs()[0][1].success is False


def test_a_block_that_fails_may_say_itself_why(telemetry, pairs):
    with pytest.raises(ValueError), telemetry.execution() as run:
        run.error_type, run.error_message = "quality_gate", "coverage fell"
        raise ValueError
    ((_, outcome),) = pairs()
    assert (outcome.error_type, outcome.error_message) == ("quality_gate", "coverage fell")


@pytest.mark.parametrize(
    ("said", "success"),
    [
        ({"success": False}, False),
        ({"success": None}, True),
        ({"status": "failed"}, False),
        ({"error_message": "boom"}, False),
        ({"error": ValueError("boom")}, False),
        ({"success": True, "error_message": "a warning"}, True),
        ({"quality_score": None, "duration_seconds": None}, True),
    ],
)
def test_a_block_may_say_how_it_ended(telemetry, pairs, said, success):
    with telemetry.execution() as run:
        vars(run).update(said)
    ((_, outcome),) = pairs()
    assert outcome.success is success
    assert outcome.duration_seconds is not None


def test_what_is_private_on_the_object_stays_there(telemetry, pairs):
    with telemetry.execution() as run:
        run._note = "mine"
    assert pairs()[0][1].metadata is None


def test_a_block_may_say_its_metadata(telemetry, pairs):
    with telemetry.execution() as run:
        run.metadata = {"a": 1}
        run.b = 2
    assert pairs()[0][1].metadata == {"a": 1, "b": 2}


# What is measured


def test_the_peak_of_memory_is_what_the_block_held(telemetry, pairs):
    with telemetry.execution():
        held = bytearray(64 * 1024 * 1024)
    ((_, outcome),) = pairs()
    assert len(held) / 2**20 < outcome.peak_memory_mb < 64 * 1024


@pytest.mark.parametrize(
    ("peaks", "held", "peak"),
    [
        ((100, 300), (50, 60), 300),
        ((300, 300), (50, 60), 60),
        ((300, 300), (80, 60), 80),
        ((300, 300), (None, None), 300),
        ((300, 300), (50, None), 300),
    ],
)
def test_the_peak_of_memory_is_the_high_water_mark_if_it_rose(
    telemetry, pairs, monkeypatch, peaks, held, peak
):
    left_peaks, left_held = list(peaks), list(held)
    monkeypatch.setattr(_execution, "_peak_mb", lambda: left_peaks.pop(0))
    monkeypatch.setattr(_execution, "_held_mb", lambda: left_held.pop(0) if left_held else None)
    with telemetry.execution():
        pass
    assert pairs()[0][1].peak_memory_mb == peak


def test_a_system_that_does_not_tell_what_is_held_tells_its_high_water_mark(
    telemetry, pairs, monkeypatch, tmp_path
):
    monkeypatch.setattr(_execution, "_STATM", tmp_path / "missing")
    with telemetry.execution():
        pass
    assert pairs()[0][1].peak_memory_mb > 1


@pytest.mark.parametrize(("platform", "told"), [("linux", 3 * 2**9), ("darwin", 3 * 2**19)])
def test_the_high_water_mark_is_mebibytes_of_what_the_system_counts(monkeypatch, platform, told):
    usage = SimpleNamespace(ru_maxrss=told)
    monkeypatch.setattr(_execution.resource, "getrusage", lambda _: usage)
    monkeypatch.setattr("sys.platform", platform)
    assert _execution._peak_mb() == 1.5


def test_what_is_held_is_mebibytes_of_the_second_number_which_counts_pages(monkeypatch, tmp_path):
    told = tmp_path / "statm"
    told.write_bytes(b"9000 %d 10 1 0 2 0\n" % (3 * 2**19 // os.sysconf("SC_PAGE_SIZE")))
    monkeypatch.setattr(_execution, "_STATM", told)
    assert _execution._held_mb() == 1.5


# Which task it is


def test_a_task_is_minted_for_each_block(telemetry, within, pairs):
    tasks = []
    for _ in range(2):
        within(telemetry.execution(), lambda run: tasks.append(run.task_id))
    assert [decision.task_id for decision, _ in pairs()] == tasks
    assert len(set(tasks)) == 2


@pytest.mark.parametrize("named", [{"task_id": "ticket-7"}, {"id": "ticket-7"}])
def test_a_hosts_own_task_id_is_mapped_and_kept(telemetry, pairs, named):
    with telemetry.execution(**named) as run:
        assert run.task_id == task_uuid("ticket-7")
    ((decision, outcome),) = pairs()
    assert decision.task_id == outcome.task_id == run.task_id
    assert decision.metadata == {"task_ref": "ticket-7"}


def test_no_task_id_is_as_good_as_none_given(telemetry, pairs):
    with telemetry.execution(task_id=None) as run:
        pass
    assert pairs()[0][0].task_id == run.task_id


def test_an_attempt_is_said_of_both_halves(telemetry, pairs):
    with telemetry.execution(task_id=TASK, attempt=3):
        pass
    ((decision, outcome),) = pairs()
    assert (decision.attempt, outcome.attempt) == (3, 3)


def test_hooks_inside_a_block_need_not_name_the_task(telemetry, recorded):
    with telemetry.execution() as run:
        telemetry.capture_pool_execution_start_sync(pool_id="p")
        telemetry.capture_feedback_sync(feedback_type="comment", comment="fine")
    assert {event.task_id for event in recorded()} == {run.task_id}


def test_an_unusable_task_id_is_refused_and_the_outcome_stands_alone(telemetry, recorded):
    with telemetry.execution(task_id=" ") as run:
        pass
    refused, outcome = recorded()
    assert isinstance(refused, InvalidEvent)
    assert outcome.task_id == run.task_id


def test_an_invalid_quality_does_not_cost_the_outcome(telemetry, recorded):
    with telemetry.execution() as run:
        run.quality_score = 920
    _, outcome = recorded()
    assert (outcome.success, outcome.quality_score) == (True, None)
    assert outcome.metadata == {"quality_score": 920}


# Blocks in blocks


def test_nested_blocks_are_executions_of_their_own(telemetry, pairs):
    assert current_execution() is None
    with telemetry.execution(task_type="outer") as outer:
        assert current_execution() is outer
        with telemetry.execution(task_type="inner") as inner:
            assert current_execution() is inner
            current_execution().quality_score = 1
        assert current_execution() is outer
        current_execution().quality_score = 2
    assert current_execution() is None
    assert _task_context.current_scope() is None
    assert [(decision.task_type, end.quality_score) for decision, end in pairs()] == [
        ("outer", 2),
        ("inner", 1),
    ]


def test_blocks_side_by_side_do_not_meet(telemetry, pairs):
    async def work(number: int, gate: asyncio.Barrier) -> None:
        async with telemetry.execution(task_type=str(number)):
            await gate.wait()
            current_execution().quality_score = number
            await gate.wait()

    async def main() -> None:
        gate = asyncio.Barrier(5)
        await asyncio.gather(*(work(number, gate) for number in range(5)))

    asyncio.run(main())
    said = sorted((decision.task_type, outcome.quality_score) for decision, outcome in pairs())
    assert said == [(str(number), number) for number in range(5)]


def test_threads_do_not_meet(telemetry, pairs):
    gate = threading.Barrier(4)

    def work(number: int) -> None:
        assert current_execution() is None
        with telemetry.execution(task_type=str(number)) as run:
            gate.wait(10)
            assert current_execution() is run
            run.quality_score = number

    with telemetry.execution(task_type="9") as run:
        run.quality_score = 9
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    said = sorted((decision.task_type, outcome.quality_score) for decision, outcome in pairs())
    assert said == [(str(number), number) for number in (0, 1, 2, 3, 9)]


def test_the_blocks_of_two_generators_may_overlap(telemetry, pairs):
    def steps(name: str) -> Any:
        with telemetry.execution(task_type=name) as run:
            yield run
            run.worker = name
            yield run

    first, second = steps("first"), steps("second")
    next(first)
    running = next(second)
    assert list(first) != []
    assert current_execution() is running
    assert list(second) != []
    assert current_execution() is None
    assert _task_context.current_scope() is None
    assert [outcome.metadata for _, outcome in pairs()] == [
        {"worker": "first"},
        {"worker": "second"},
    ]


def test_a_generator_that_is_left_has_been_cancelled_and_disturbs_nobody(telemetry, recorded):
    def steps() -> Any:
        with telemetry.execution(task_type="left"):
            yield

    with telemetry.execution(task_type="outer"):
        left = steps()
        contextvars.copy_context().run(next, left)
        with telemetry.execution(task_type="inner") as inner:
            del left
            gc.collect()
            assert current_execution() is inner
            assert _task_context.current_scope().task_id == inner.task_id
    left_end = recorded()[3]
    assert (left_end.success, left_end.error_type) == (False, "cancelled")


def test_an_asynchronous_generator_closed_elsewhere_disturbs_nobody(telemetry, recorded):
    async def steps() -> Any:
        async with telemetry.execution():
            yield

    async def main() -> None:
        items = steps()
        await anext(items)
        await asyncio.create_task(items.aclose())

    asyncio.run(main())
    assert recorded()[1].error_type == "cancelled"


def test_a_block_that_is_cancelled_is_recorded_as_that(telemetry, recorded):
    async def main() -> None:
        async def work() -> None:
            async with telemetry.execution():
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorded()[1].error_type == "cancelled"


def test_an_object_used_again_forgets_what_the_first_block_said(telemetry, pairs):
    execution = telemetry.execution(task_type="again")
    with execution as run:
        run.quality_score = 92
    with execution as run:
        assert vars(run).get("quality_score") is None
    first, second = pairs()
    assert first[0].task_id != second[0].task_id
    assert (first[1].quality_score, second[1].quality_score) == (92, None)


# Decorated functions


def plain(a, *, b=2):
    current_execution().quality_score = 80
    return [a, b]


async def coroutine(a, *, b=2):
    current_execution().quality_score = 80
    return [a, b]


def generator(a, *, b=2):
    current_execution().quality_score = 80
    yield a
    yield b


async def stream(a, *, b=2):
    current_execution().quality_score = 80
    yield a
    yield b


def deferred(a, *, b=2):
    return coroutine(a, b=b)


def started(a, *, b=2):
    return asyncio.ensure_future(_started(current_execution(), a, b))


async def _started(run, a, b):
    run.quality_score = 80
    return [a, b]


async def use(call: Any) -> Any:
    if inspect.isasyncgen(call):
        return [item async for item in call]
    if inspect.isgenerator(call):
        return list(call)
    return await call if inspect.isawaitable(call) else call


FUNCTIONS = [plain, coroutine, generator, stream, deferred, started]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_any_shape_can_be_decorated(telemetry, pairs, function):
    decorated = telemetry.execution(**WHAT)(function)
    assert inspect.signature(decorated) == inspect.signature(function)
    assert decorated.__name__ == function.__name__
    assert inspect.iscoroutinefunction(decorated) is inspect.iscoroutinefunction(function)

    async def main() -> None:
        for _ in range(2):
            assert await use(decorated(1)) == [1, 2]
        await asyncio.sleep(0)
        assert current_execution() is None

    asyncio.run(main())
    first, second = pairs()
    assert first[0].task_id != second[0].task_id
    assert [end.quality_score for _, end in (first, second)] == [80, 80]
    assert first[0].model_tier == "large"


@pytest.mark.parametrize("function", FUNCTIONS[:-1])
def test_a_decorated_functions_exception_is_the_same_object(
    telemetry, pairs, function, monkeypatch
):
    error = ValueError("boom")
    monkeypatch.setitem(globals(), "current_execution", lambda: fail(error))

    async def main() -> None:
        with pytest.raises(ValueError) as caught:
            await use(telemetry.execution()(function)(1))
        assert caught.value is error

    asyncio.run(main())
    assert [end.error_message for _, end in pairs()] == ["ValueError: boom"]


def test_a_wrong_call_of_a_decorated_function_is_its_own_type_error(telemetry, pairs):
    with pytest.raises(TypeError, match=r"plain\(\) missing 1 required positional argument: 'a'"):
        telemetry.execution()(plain)()
    assert pairs()[0][1].error_type == "crash"


def test_methods_of_every_kind_can_be_decorated(telemetry, pairs):
    tracked = telemetry.execution(task_type="method")

    class Worker:
        @tracked
        def own(self, a: int) -> Any:
            return self, a

        @classmethod
        @tracked
        def of_the_class(cls, a: int) -> Any:
            return cls, a

        @staticmethod
        @tracked
        def of_nobody(a: int) -> Any:
            return a

    worker = Worker()
    assert worker.own(1) == (worker, 1)
    assert worker.of_the_class(2) == (Worker, 2)
    assert worker.of_nobody(3) == 3
    assert len(pairs()) == 3


def test_a_decorated_function_may_call_itself(telemetry, pairs):
    @telemetry.execution()
    def countdown(left: int) -> int:
        current_execution().left = left
        return countdown(left - 1) if left else 0

    assert countdown(2) == 0
    assert [end.metadata["left"] for _, end in pairs()] == [2, 1, 0]


def test_decorated_tasks_side_by_side_do_not_meet(telemetry, pairs):
    async def main() -> None:
        gate = asyncio.Barrier(3)

        @telemetry.execution()
        async def work(number: int) -> None:
            current_execution().number = number
            await gate.wait()
            current_execution().seen = number

        def sync(number: int) -> Any:
            return work(number)

        def waiting() -> Any:
            return gate.wait()

        await asyncio.gather(work(1), sync(2), telemetry.execution()(waiting)())

    asyncio.run(main())
    said = [end.metadata for _, end in pairs()]
    source = {"success_source": "returned"}
    assert {"number": 1, "seen": 1, **source} in said
    assert {"number": 2, "seen": 2, **source} in said


# What the host never sees


def test_a_spool_that_refuses_changes_nothing_for_the_block(home):
    home.root.write_text("in the way")
    telemetry = Telemetry(home.root)
    with telemetry.execution() as run:
        run.quality_score = 92
        assert current_execution() is run
    assert current_execution() is None
    error = ValueError()
    with pytest.raises(ValueError) as caught, telemetry.execution():
        raise error
    assert caught.value is error
    assert telemetry.stats().dropped == 4


def test_in_strict_mode_a_refused_decision_leaves_nothing_behind(home):
    telemetry = Telemetry(home.root, strict=True)
    with pytest.raises(InvalidEventError, match="at least one character"):
        telemetry.execution(task_id=" ").__enter__()
    with pytest.raises(InvalidEventError, match="quality_score"), telemetry.execution() as run:
        run.quality_score = 920
    assert current_execution() is None
    assert _task_context.current_scope() is None


def test_in_strict_mode_a_failed_write_is_an_error(home):
    home.root.write_text("in the way")
    with pytest.raises(SpoolWriteError):
        Telemetry(home.root, strict=True).execution().__enter__()
    assert _task_context.current_scope() is None


def test_what_is_recorded_of_a_block_loads_as_one_execution(telemetry, query):
    with telemetry.execution(**WHAT, task_id="ticket-7") as run:
        telemetry.capture_pool_execution_start_sync(pool_id="p")
        run.quality_score = 92
    load(telemetry.home)
    tasks = query(
        telemetry.home,
        """
        select task_id, quality_score from raw.routing_outcome
        join raw.routing_decision using (task_id)
        join raw.pool_execution_start using (task_id)
        """,
    )
    assert tasks == [(run.task_id, 92)]


@pytest.fixture
def query() -> Any:
    """Read from a home's staging file."""
    import duckdb

    def read(home: Home, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(home.staging), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    return read
