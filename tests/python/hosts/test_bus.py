"""The link to a message bus: what is heard on it, for which task, and what is said on it."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import sys
import threading
import types
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any, NoReturn
from uuid import UUID

import duckdb
import pytest

from orb_learning import ExecutionRecord, Telemetry
from orb_learning._types import task_uuid
from orb_learning.capture import _task_context
from orb_learning.errors import InstrumentationError, InvalidEventError
from orb_learning.events import (
    ExecutionRecorded,
    InvalidEvent,
    PoolClosed,
    PoolCreated,
    RoutingDecision,
    TaskCompleted,
)
from orb_learning.home import Home
from orb_learning.hosts import bus as _bus
from orb_learning.hosts import instrument_pool_manager, instrument_router
from orb_learning.staging import LoadReport, load

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = NOON.timestamp()
HEARD = ("task_completed", "pool_created", "pool_closed")


# Hosts' buses. The enums are hidden in classes: a link looks for them where its bus is defined.


@dataclass
class Message:
    """What a bus gives its handlers."""

    type: Any = None
    source_pool_id: Any = None
    target_pool_id: Any = None
    payload: Any = field(default_factory=dict)
    timestamp: Any = SECONDS


class Bus:
    """A bus of texts; each handler runs as a task of its own, as the host's do."""

    def __init__(self) -> None:
        self.handlers: dict[Any, list[Callable[[Any], Any]]] = defaultdict(list)
        self.published: list[dict[str, Any]] = []

    def subscribe(self, message_type, handler):
        self.handlers[message_type].append(handler)

    async def publish(self, message):
        self.published.append(message)
        self.deliver(message["type"], message)

    def deliver(self, kind: Any, message: dict[str, Any]) -> None:
        parts = ("source_pool_id", "target_pool_id", "payload")
        made = Message(kind, *(message.get(part) for part in parts))
        for handler in self.handlers[kind]:
            asyncio.create_task(handler(made)).add_done_callback(asyncio.Task.result)

    def said(self, kind: Any) -> list[dict[str, Any]]:
        return [message["payload"] for message in self.published if message["type"] == kind]


class Few:
    class MessageType(Enum):
        STATUS_UPDATE = "status_update"
        TASK_COMPLETED = "task_completed"
        POOL_CREATED = "pool_created"
        POOL_CLOSED = "pool_closed"


class All:
    class MessageType(Enum):
        TASK_COMPLETED = "task_completed"
        POOL_CREATED = "pool_created"
        POOL_CLOSED = "pool_closed"
        ROUTING_DECISION = "routing_decision"
        EXECUTION_RECORDED = "execution_recorded"


class HostBus(Bus):
    """Knows none of our types, and takes what it does not know for a status."""

    def subscribe(self, message_type: Few.MessageType, handler):
        super().subscribe(message_type, handler)

    async def publish(self, message):
        self.published.append(message)
        try:
            kind = Few.MessageType(message["type"])
        except ValueError:
            kind = Few.MessageType.STATUS_UPDATE
        self.deliver(kind, message)


class KnowingBus(Bus):
    """Has our types among its own."""

    def subscribe(self, message_type: All.MessageType, handler):
        super().subscribe(message_type, handler)


class SyncBus(Bus):
    """Has nothing to await."""

    def publish(self, message):
        self.published.append(message)


class AsyncBus(Bus):
    """Must be awaited to subscribe."""

    async def subscribe(self, message_type, handler):
        super().subscribe(message_type, handler)


class FailingBus(Bus):
    """Takes nothing."""

    async def publish(self, message):
        raise ConnectionError("the broker is gone")


class AbruptBus(Bus):
    """Takes nothing, and says so before there is anything to await."""

    def publish(self, message):
        raise ConnectionError("the broker is gone")


class SlowBus(Bus):
    """Takes a message once it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = asyncio.Event()

    async def publish(self, message):
        await self.may_go_on.wait()
        await super().publish(message)


class DispatchingBus(Bus):
    """Runs its handlers in one task, which the first message begins, in that one's context."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.dispatcher: asyncio.Task[None] | None = None

    async def publish(self, message):
        self.published.append(message)
        if self.dispatcher is None:
            self.dispatcher = asyncio.create_task(self.dispatch())
        self.queue.put_nowait(message)

    async def dispatch(self) -> None:
        while True:
            message = await self.queue.get()
            for handler in self.handlers[message["type"]]:
                await handler(Message(message["type"], payload=message["payload"]))
            self.queue.task_done()


BUSES = [Bus, HostBus, KnowingBus, SyncBus, FailingBus, AbruptBus, SlowBus, DispatchingBus]


class PoolManager:
    """Runs tasks on pools, and announces their ends without saying which task it was."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.pools = {"pool-1": {"pool_type": "swarm"}, "pool-2": {"pool_type": "single"}}

    async def execute_on_pool(self, pool_id: str, task: dict[str, Any]) -> dict[str, Any]:
        result = {
            "pool_id": pool_id,
            "worker_id": "worker-1",
            "status": "completed",
            "output": task["prompt"],
            "error": None,
            "duration": 1.5,
        }
        await complete(self.bus, {"pool_id": pool_id, "result": result}, pool_id)
        return result


class Router:
    async def route_task(self, task: dict[str, Any]) -> dict[str, Any]:
        return {"model_tier": "large", "pool_type": "swarm", "confidence": 0.75}


async def complete(bus: Bus, payload: dict[str, Any], pool_id: str | None = None) -> None:
    """Announce the end of a task as a host does."""
    message = {"type": "task_completed", "source_pool_id": pool_id, "payload": payload}
    await bus.publish(message)


async def settled() -> None:
    """Wait until nothing else runs on the loop, nor what threads have handed to it."""
    called = asyncio.Event()
    asyncio.get_running_loop().call_soon(called.set)
    await called.wait()
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.gather(*others)


def hear(bus: Bus, kind: str, message: Any) -> None:
    """Give a message to the handler of its kind, as a bus without tasks would."""
    (handler,) = bus.handlers[kind]
    asyncio.run(handler(message))


@pytest.fixture
def heard(telemetry: Telemetry, recorded: Any) -> Callable[..., Any]:
    """Hear one completed task, and return the one event of it."""

    def one(payload: Any, **header: Any) -> Any:
        bus = Bus()
        telemetry.subscribe(bus)
        hear(bus, "task_completed", Message("task_completed", payload=payload, **header))
        (event,) = recorded()
        return event

    return one


def decide(telemetry: Telemetry, task_id: Any = TASK, **fields: Any) -> RoutingDecision:
    decision = telemetry.capture_routing_decision_sync(
        task_id=task_id, task_type="refactor", repo="acme/api", model_tier="large", **fields
    )
    assert decision is not None
    return decision


# How it subscribes


@pytest.mark.parametrize("bus", [HostBus(), KnowingBus()])
def test_a_bus_is_handed_its_own_members(telemetry, bus):
    telemetry.subscribe(bus)
    members = Few.MessageType if isinstance(bus, HostBus) else All.MessageType
    assert list(bus.handlers) == [members(kind) for kind in HEARD]


def test_a_bus_without_an_enum_is_handed_texts(telemetry):
    bus = Bus()
    telemetry.subscribe(bus)
    assert list(bus.handlers) == list(HEARD)


class Forms:
    class Numbers(IntEnum):
        TASK_COMPLETED = 0
        pool_created = 1
        Pool_Closed = 2
        ROUTING_DECISION = 3

    class OwnNames(Enum):
        DONE = "task_completed"
        UP = "pool_created"
        DOWN = "pool_closed"
        CHOSEN = "routing_decision"

    Aliases = Enum(
        "Aliases",
        {
            "DONE": "task.done",
            "TASK_COMPLETED": "task.done",
            "UP": "pool.up",
            "POOL_CREATED": "pool.up",
            "POOL_CLOSED": "pool.down",
            "ROUTING_DECISION": "routing",
        },
    )


@pytest.mark.parametrize("members", [Forms.Numbers, Forms.OwnNames, Forms.Aliases])
def test_a_member_is_known_by_its_value_or_its_name_even_if_it_is_zero(telemetry, members):
    bus = Bus()
    telemetry.subscribe(bus, message_types=members)
    assert list(bus.handlers) == list(members)[:3]

    async def main() -> None:
        await telemetry.capture_routing_decision()
        await settled()

    asyncio.run(main())
    assert [message["type"] for message in bus.published] == list(members)[3:]


def test_a_kind_that_the_enum_lacks_is_called_by_its_name(telemetry):
    class OnlyTasks(Enum):
        TASK_COMPLETED = "task_completed"

    bus = Bus()
    telemetry.subscribe(bus, message_types=OnlyTasks)
    assert list(bus.handlers) == [OnlyTasks.TASK_COMPLETED, "pool_created", "pool_closed"]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module of a host's bus, with what makes it hard to look through."""

    class Proxy:
        """Stands for what does not exist outside a request."""

        @property
        def __class__(self) -> NoReturn:
            raise RuntimeError("working outside of a request")

    made = types.ModuleType("host_bus")
    vars(made).update(request=Proxy(), Other=Enum("Other", "A B"), MessageType=Few.MessageType)
    monkeypatch.setitem(sys.modules, "host_bus", made)
    return made


def test_the_enum_is_found_where_the_bus_or_what_it_inherits_from_is_defined(telemetry, module):
    host = type("HostsBus", (Bus,), {"__module__": "host_bus"})
    for cls in (host, type("Own", (host,), {}), type("Nowhere", (host,), {"__module__": "gone"})):
        bus = cls()
        telemetry.subscribe(bus)
        assert list(bus.handlers) == [Few.MessageType(kind) for kind in HEARD]


def test_hints_that_cannot_be_resolved_are_no_hindrance(telemetry):
    class Unresolved(Bus):
        def subscribe(self, message_type: Missing, handler):  # noqa: F821
            super().subscribe(message_type, handler)

    bus = Unresolved()
    telemetry.subscribe(bus)
    assert list(bus.handlers) == list(HEARD)


def test_what_is_no_bus_is_an_error_that_says_what_is_missing(telemetry):
    with pytest.raises(InstrumentationError) as caught:
        telemetry.subscribe(object())
    assert str(caught.value) == (
        "cannot subscribe to task_completed on a object: AttributeError(\"'object' object has no "
        "attribute 'subscribe'\"); it needs subscribe(message_type, async_handler)"
    )


def test_a_bus_that_refuses_half_way_is_not_half_subscribed(telemetry, recorded):
    class Refusing(Bus):
        def subscribe(self, message_type, handler):
            if self.handlers:
                raise LookupError("no such topic")
            super().subscribe(message_type, handler)

    bus = Refusing()
    with pytest.raises(InstrumentationError, match=r"pool_created on a Refusing: LookupError"):
        telemetry.subscribe(bus)
    hear(bus, "task_completed", Message(payload={"task_id": "ticket-7"}))
    decide(telemetry)
    assert [type(event) for event in recorded()] == [RoutingDecision]
    assert bus.published == []


def test_a_bus_that_must_be_awaited_to_subscribe_is_awaited(telemetry):
    async def main() -> AsyncBus:
        bus = AsyncBus()
        telemetry.subscribe(bus)
        await settled()
        return bus

    assert list(asyncio.run(main()).handlers) == list(HEARD)


def test_a_bus_that_refuses_when_it_is_awaited_is_a_warning(telemetry, caplog):
    class Refusing(Bus):
        async def subscribe(self, message_type, handler):
            raise LookupError("no such topic")

    async def main() -> None:
        telemetry.subscribe(Refusing())
        await settled()

    asyncio.run(main())
    assert caplog.messages[0].startswith(
        "cannot subscribe to task_completed on the bus: <class 'LookupError'>"
    )


class Promise:
    """Can be awaited, and is no coroutine."""

    def __await__(self) -> Generator[None]:
        yield


@pytest.mark.parametrize("is_coroutine", [True, False])
def test_what_must_be_awaited_without_a_loop_is_an_error_and_leaves_nothing_behind(
    telemetry, is_coroutine
):
    class Promising(Bus):
        def subscribe(self, message_type, handler):
            return Promise()

    with pytest.raises(InstrumentationError, match="call this while its loop runs"):
        telemetry.subscribe(AsyncBus() if is_coroutine else Promising())
    gc.collect()  # a coroutine that nobody awaits warns, and a warning is an error


# What it hears


def test_the_hosts_own_form_of_a_completed_task(heard):
    event = heard(
        {
            "pool_id": "pool-1",
            "result": {
                "pool_id": "pool-1",
                "worker_id": "worker-3",
                "status": "failed",
                "output": None,
                "error": "out of memory",
                "duration": 2.5,
            },
        },
        source_pool_id="pool-1",
    )
    assert event == TaskCompleted(
        event_id=event.event_id,
        captured_at=event.captured_at,
        occurred_at=NOON,
        task_id=event.task_id,
        success=False,
        pool_id="pool-1",
        duration_seconds=2.5,
        error_message="out of memory",
        metadata={"worker_id": "worker-3", "status": "failed"},
    )
    assert event.task_id.version == 7


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        ({"task_id": TASK}, {"task_id": TASK, "success": True}),
        ({"id": str(TASK)}, {"task_id": TASK}),
        ({"task_id": TASK, "id": "message-9"}, {"metadata": {"id": "message-9"}}),
        ({"task_id": "ticket-7"}, {"metadata": {"task_ref": "ticket-7"}}),
        ({"id": 7}, {"task_id": task_uuid("7"), "metadata": {"task_ref": "7"}}),
        ({"task_id": " ", "id": TASK}, {"task_id": TASK}),
        ({"result": {"task_id": TASK, "id": "r-1"}}, {"task_id": TASK, "metadata": {"id": "r-1"}}),
        ({"task": {"id": TASK, "x": 1}}, {"task_id": TASK}),
        ({"duration": 1.5}, {"duration_seconds": 1.5}),
        ({"duration_seconds": 1.5}, {"duration_seconds": 1.5}),
        ({"duration": 1.5, "result": {"duration": None, "x": 1}}, {"duration_seconds": 1.5}),
        ({"duration": 1.5, "result": {"duration": 2}}, {"duration_seconds": 2}),
        ({"status": "error"}, {"success": False}),
        ({"success": False}, {"success": False}),
        ({"success": True, "status": "odd"}, {"success": True, "metadata": {"status": "odd"}}),
        ({"status": "paused", "error": "x"}, {"success": False, "error_message": "x"}),
        ({"error": "boom"}, {"success": False, "error_message": "boom"}),
        ({"error": ["boom", 3]}, {"success": False, "error_message": "['boom', 3]"}),
        ({"error": ValueError("boom")}, {"success": False, "error_message": "ValueError: boom"}),
        ({"output": "ok", "n": [1]}, {"success": True, "metadata": {"output": "ok", "n": [1]}}),
        ({"result": "ok"}, {"success": True, "metadata": {"result": "ok"}}),
        ({"duration": math.nan}, {"success": True, "metadata": {"duration_seconds": "nan"}}),
        ({"pool_id": "p"}, {"pool_id": "p", "metadata": None}),
        ({"pool_id": UUID(int=7)}, {"pool_id": str(UUID(int=7))}),
        ({"pool_id": 7}, {"pool_id": "7"}),
        ({"pool_id": " ", "result": {"pool_id": "p"}}, {"pool_id": "p"}),
        (Message(payload={"x": 1}), {"success": True}),
        ("done", {"success": True, "metadata": {"payload": "done"}}),
        ([1], {"success": True, "metadata": {"payload": [1]}}),
        ({}, {"success": True, "metadata": None}),
        (None, {"success": True, "metadata": None}),
    ],
)
def test_every_spelling_is_understood_and_the_rest_is_kept(heard, payload, fields):
    event = heard(payload)
    assert type(event) is TaskCompleted
    assert {name: getattr(event, name) for name in fields} == fields


def test_the_pool_that_sends_is_the_pool_unless_the_payload_names_another(heard):
    assert heard({"result": {"pool_id": "nested"}}, source_pool_id="sender").pool_id == "sender"


def test_a_very_long_output_does_not_cost_the_outcome(heard):
    event = heard({"task_id": TASK, "result": {"status": "failed", "output": "x" * 1_000_000}})
    assert (event.task_id, event.success) == (TASK, False)
    assert event.metadata["output"].startswith("xxx")


NO_TIMES = [math.nan, math.inf, -1.0, 1e300, 10**5000, 16_725_225_600, "2026", "", True, [1], b"1"]


@pytest.mark.parametrize("number", range(len(NO_TIMES)))  # one of them has too many digits to print
def test_a_time_that_is_none_is_kept_beside_the_time_of_capture(heard, number):
    event = heard({"task_id": TASK}, timestamp=NO_TIMES[number])
    assert type(event) is TaskCompleted
    assert event.captured_at >= event.occurred_at > NOON
    assert list(event.metadata) == ["message_timestamp"]


@pytest.mark.parametrize("timestamp", [None, SECONDS, int(SECONDS)])
def test_a_message_tells_when_it_was_sent_or_not(heard, timestamp):
    event = heard({"task_id": TASK}, timestamp=timestamp)
    assert (event.occurred_at == NOON) is (timestamp is not None)
    assert event.metadata is None


def test_a_message_may_be_a_dict(telemetry, recorded):
    bus = Bus()
    telemetry.subscribe(bus)
    hear(bus, "task_completed", {"payload": {"task_id": TASK}, "timestamp": SECONDS})
    hear(bus, "pool_created", {"source_pool_id": "p"})
    completed, created = recorded()
    assert (completed.task_id, completed.occurred_at) == (TASK, NOON)
    assert created.pool_id == "p"


@pytest.mark.parametrize(
    ("kind", "cls"), [("pool_created", PoolCreated), ("pool_closed", PoolClosed)]
)
def test_pools_come_and_go(telemetry, recorded, kind, cls):
    bus = Bus()
    telemetry.subscribe(bus)
    payload = {"pool_id": "p", "pool_type": "swarm", "config": {"min_workers": 2}}
    hear(bus, kind, Message(payload=payload, source_pool_id="sender"))
    hear(bus, kind, Message(source_pool_id="sender"))
    hear(bus, kind, Message(payload={"pool_id": 7, "pool_type": ["?"]}, timestamp="?"))
    first, second, third = recorded()
    assert first == cls(
        event_id=first.event_id,
        captured_at=first.captured_at,
        occurred_at=NOON,
        pool_id="p",
        pool_type="swarm",
        metadata={"config": {"min_workers": 2}},
    )
    assert (second.pool_id, second.metadata) == ("sender", None)
    assert third.pool_id == "7"
    assert third.metadata == {"message_timestamp": "?", "pool_type": ["?"]}


def test_the_reason_why_a_pool_was_closed_is_kept(telemetry, recorded):
    bus = Bus()
    telemetry.subscribe(bus)
    hear(bus, "pool_closed", Message(payload={"pool_id": "p", "reason": "idle"}))
    (event,) = recorded()
    assert event.reason == "idle"


def test_a_pool_without_a_name_goes_to_quarantine(telemetry, recorded):
    bus = Bus()
    telemetry.subscribe(bus)
    hear(bus, "pool_created", Message(payload={"size": 3}))
    (event,) = recorded()
    assert isinstance(event, InvalidEvent)
    assert event.reason == "pool_id: Field required"


class Sealed:
    """Lets nobody look inside."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise LookupError(name)


NO_MESSAGES = [Sealed(), Message(payload=Sealed()), Message(7, 7, 7, 7, 7), 7, None, "x", object()]


@pytest.mark.parametrize("kind", HEARD)
@pytest.mark.parametrize("number", range(len(NO_MESSAGES)))
def test_no_message_reaches_the_host_as_an_error(telemetry, recorded, kind, number, caplog):
    bus = Bus()
    telemetry.subscribe(bus)
    hear(bus, kind, NO_MESSAGES[number])
    assert len(recorded()) + len(caplog.messages) > 0, "it is kept, or at least told"


@pytest.mark.parametrize("kind", HEARD)
def test_in_strict_mode_a_message_that_cannot_be_recorded_is_an_error(home, kind):
    bus = Bus()
    with Telemetry(home.root, strict=True) as telemetry:
        telemetry.subscribe(bus)
        with pytest.raises(LookupError):
            hear(bus, kind, Sealed())
        if kind != "task_completed":
            with pytest.raises(InvalidEventError, match="pool_id: Field required"):
                hear(bus, kind, Message())


def test_a_closed_link_records_and_announces_nothing(telemetry, recorded):
    bus = Bus()
    link = telemetry.subscribe(bus)
    link.close()
    link.close()
    for kind in HEARD:
        hear(bus, kind, Message(payload={"pool_id": "p"}))
    decide(telemetry)
    assert [type(event) for event in recorded()] == [RoutingDecision]
    assert bus.published == []
    assert link.unsent == 0


def test_a_closed_link_leaves_the_others_open(telemetry):
    buses = Bus(), Bus()
    first, _ = [telemetry.subscribe(bus) for bus in buses]
    first.close()

    async def main() -> None:
        decide(telemetry)
        await settled()

    asyncio.run(main())
    assert [len(bus.published) for bus in buses] == [0, 1]


# Which task it is about


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        return connection.execute(query).fetchall()


ONE_TASK = """
select decision.task_id, decision.model_tier, completed.success, completed.pool_id,
    complete.pool_type, completed.metadata ->> 'output', decision.task_description
from raw.routing_decision as decision
full join raw.pool_execution_start as start using (task_id)
full join raw.pool_execution_complete as complete using (task_id)
full join raw.task_completed as completed using (task_id)
order by decision.task_description
"""


@pytest.mark.parametrize("is_routed", [True, False])
@pytest.mark.parametrize("kind", [Bus, HostBus])
def test_routing_execution_and_message_are_one_execution_though_nobody_names_it(
    telemetry, home, kind, is_routed
):
    bus, router = kind(), Router()
    manager = PoolManager(bus)
    telemetry.subscribe(bus)
    instrument_router(router, telemetry)
    instrument_pool_manager(manager, telemetry)

    async def run(task: dict[str, Any]) -> None:
        if is_routed:
            await router.route_task(task)
        await manager.execute_on_pool("pool-1", task)

    async def main() -> None:
        await asyncio.gather(*(run({"prompt": f"task {number}"}) for number in range(5)))
        await settled()

    asyncio.run(main())
    assert load(home) == LoadReport(1, 20, 20)
    found = rows(home, ONE_TASK)
    assert len({task_id for task_id, *_ in found}) == 5
    tier = "large" if is_routed else "unknown"
    prompts = [f"task {number}" for number in range(5)]
    assert [row[1:] for row in found] == [
        (tier, True, "pool-1", "swarm", prompt, prompt) for prompt in prompts
    ]


def test_a_router_that_runs_the_task_itself_makes_one_execution_too(telemetry, home):
    class Managing(PoolManager):
        async def route_task(self, task: dict[str, Any]) -> dict[str, Any]:
            return await self.execute_on_pool("pool-2", task)

    bus = HostBus()
    manager = Managing(bus)
    telemetry.subscribe(bus)
    instrument_router(manager, telemetry)
    instrument_pool_manager(manager, telemetry)

    async def main() -> None:
        for number in range(3):
            await manager.route_task({"prompt": f"task {number}"})
        await settled()

    asyncio.run(main())
    assert load(home) == LoadReport(1, 12, 12)
    assert [row[1:] for row in rows(home, ONE_TASK)] == [
        ("unknown", True, "pool-2", "single", f"task {number}", f"task {number}")
        for number in range(3)
    ]


def test_a_decision_by_hook_and_a_message_are_one_execution(telemetry, home):
    bus = HostBus()
    telemetry.subscribe(bus)
    manager = PoolManager(bus)

    async def run(task: dict[str, Any]) -> None:
        routing = {"model_tier": "large"}
        await telemetry.capture_routing_decision({"routing": routing, "task_data": task})
        await manager.execute_on_pool("pool-1", task)

    async def main() -> None:
        await asyncio.gather(*(run({"prompt": f"task {number}"}) for number in range(5)))
        await settled()

    asyncio.run(main())
    assert load(home) == LoadReport(1, 10, 10)
    pairs = rows(
        home,
        "select decision.task_description, completed.metadata ->> 'output' "
        "from raw.routing_decision as decision join raw.task_completed as completed "
        "using (task_id) order by 1",
    )
    assert pairs == [(f"task {number}", f"task {number}") for number in range(5)]


def test_each_retry_of_a_task_is_answered_once(telemetry, recorded):
    bus = Bus()
    telemetry.subscribe(bus)

    async def main() -> None:
        for attempt in (1, 2):
            await telemetry.capture_routing_decision(task_id="ticket-7", attempt=attempt)
            await complete(bus, {"status": "completed"})
            await complete(bus, {"status": "completed"})
            await settled()

    asyncio.run(main())
    completed = [event.task_id for event in recorded() if isinstance(event, TaskCompleted)]
    mine = task_uuid("ticket-7")
    assert [task_id == mine for task_id in completed] == [True, False, True, False]


def test_a_message_about_a_pool_that_is_recorded_anyway_says_nothing_new(telemetry, recorded):
    bus = Bus()
    manager = PoolManager(bus)
    telemetry.subscribe(bus)
    instrument_pool_manager(manager, telemetry)

    async def main() -> None:
        await asyncio.create_task(manager.execute_on_pool("pool-1", {"prompt": "x"}))
        await settled()
        before = len(recorded())
        await complete(bus, {"pool_id": "pool-1"})
        await settled()
        assert len(recorded()) == before
        await complete(bus, {"pool_id": "pool-2"})
        await complete(bus, {"pool_id": "pool-1", "task_id": "ticket-7"})
        await settled()
        assert len(recorded()) == before + 2

    asyncio.run(main())


def test_messages_of_a_dispatcher_that_the_first_task_began_are_not_all_about_that_task(
    telemetry, recorded
):
    async def main() -> tuple[list[UUID], UUID]:
        bus = DispatchingBus()
        telemetry.subscribe(bus, publish=False)
        decided = []
        for _ in range(3):
            decision = await telemetry.capture_routing_decision()
            decided.append(decision.task_id)
            await complete(bus, {"status": "completed"})
        await complete(bus, {"task_id": "ticket-7"})
        await bus.queue.join()
        bus.dispatcher.cancel()
        with suppress(asyncio.CancelledError):
            await bus.dispatcher
        return decided

    decided = asyncio.run(main())
    first, second, third, named = (
        event.task_id for event in recorded() if isinstance(event, TaskCompleted)
    )
    assert first == decided[0]
    assert len({first, second, third, *decided}) == 5, "unknown tasks, each of its own"
    assert named == task_uuid("ticket-7")


def test_a_dispatcher_that_the_first_task_began_adds_nothing_to_recorded_pools(telemetry, home):
    async def main() -> None:
        bus = DispatchingBus()
        manager = PoolManager(bus)
        telemetry.subscribe(bus)
        instrument_pool_manager(manager, telemetry)
        for number in range(3):
            await asyncio.create_task(manager.execute_on_pool("pool-1", {"prompt": f"{number}"}))
        await bus.queue.join()
        bus.dispatcher.cancel()

    asyncio.run(main())
    load(home)
    assert rows(
        home,
        "select count(*), count(completed.task_id), min(completed.metadata ->> 'output') "
        "from raw.pool_execution_complete "
        "left join raw.task_completed as completed using (task_id)",
    ) == [(3, 1, "0")]
    assert rows(home, "select count(*) from raw.task_completed") == [(1,)]


def test_a_dispatcher_that_a_failed_task_began_does_not_call_that_task_a_success(telemetry, home):
    class Failing(PoolManager):
        async def execute_on_pool(self, pool_id: str, task: dict[str, Any]) -> dict[str, Any]:
            if task["prompt"] == "fail":
                await self.bus.publish({"type": "heartbeat", "payload": {}})
                raise ValueError(task["prompt"])
            return await super().execute_on_pool(pool_id, task)

    async def main() -> None:
        bus = DispatchingBus()
        manager = Failing(bus)
        telemetry.subscribe(bus)
        instrument_pool_manager(manager, telemetry)
        for prompt in ("fail", "go"):
            with suppress(ValueError):
                await asyncio.create_task(manager.execute_on_pool("pool-1", {"prompt": prompt}))
        await bus.queue.join()
        bus.dispatcher.cancel()

    asyncio.run(main())
    load(home)
    assert rows(home, "select success from raw.pool_execution_complete order by 1") == [
        (False,),
        (True,),
    ]
    assert rows(home, "select * from raw.task_completed") == []


def test_a_retry_is_answered_by_its_own_message_before_it_has_ended(telemetry, recorded):
    class Retried(PoolManager):
        async def execute_on_pool(self, pool_id: str, task: dict[str, Any]) -> dict[str, Any]:
            task["tries"] += 1
            if task["tries"] == 1:
                raise ValueError(task["prompt"])
            result = await super().execute_on_pool(pool_id, task)
            await settled()
            return result

    async def main() -> None:
        bus = Bus()
        manager = Retried(bus)
        telemetry.subscribe(bus, publish=False)
        instrument_pool_manager(manager, telemetry)
        task = {"prompt": "x", "tries": 0}
        with suppress(ValueError):
            await manager.execute_on_pool("pool-1", task)
        await manager.execute_on_pool("pool-1", task)

    asyncio.run(main())
    events = recorded()
    assert len({event.task_id for event in events}) == 1
    assert [event.success for event in events if isinstance(event, TaskCompleted)] == [True]


def test_two_links_to_one_bus_hear_the_same_task(telemetry, tmp_path, events_in):
    bus = Bus()
    with Telemetry(tmp_path / "other") as other:
        telemetry.subscribe(bus)
        other.subscribe(bus)

        async def main() -> UUID:
            decision = await telemetry.capture_routing_decision()
            await complete(bus, {"status": "completed"})
            await settled()
            return decision.task_id

        task_id = asyncio.run(main())
        for spool in (telemetry.home.spool, other.home.spool):
            assert events_in(spool)[-1].task_id == task_id
            assert type(events_in(spool)[-1]) is TaskCompleted


# What it says


def test_a_decision_is_announced_and_then_the_execution(telemetry):
    bus = KnowingBus()
    telemetry.subscribe(bus)
    made: list[Any] = []

    async def main() -> None:
        made.append(
            await telemetry.capture_routing_decision(
                task_id=TASK, model_tier="large", timestamp=NOON, cost=0.5, a=1, b=1
            )
        )
        await settled()
        assert bus.said(All.MessageType.EXECUTION_RECORDED) == []
        made.append(
            await telemetry.capture_pool_execution_complete(
                task_id=TASK, success=True, pool_id="p", actual_cost=0.25, b=2
            )
        )
        await telemetry.capture_routing_outcome(task_id=TASK, success=True)
        await settled()

    asyncio.run(main())
    decision, outcome = made
    first, second = bus.published
    assert first == {
        "type": All.MessageType.ROUTING_DECISION,
        "source_pool_id": None,
        "target_pool_id": None,
        "payload": decision.to_dict(),
    }
    payload = second.pop("payload")
    assert second == {
        "type": All.MessageType.EXECUTION_RECORDED,
        "source_pool_id": "p",
        "target_pool_id": None,
    }
    assert payload["decision_event_id"] == str(decision.event_id)
    assert payload["outcome_event_id"] == str(outcome.event_id)
    assert payload["timestamp"] == "2026-03-01T12:00:00Z"
    assert payload["occurred_at"] == outcome.to_dict()["occurred_at"]
    assert (payload["task_id"], payload["model_tier"], payload["success"]) == (
        str(TASK),
        "large",
        True,
    )
    assert payload["actual_cost"] == 0.25
    assert payload["metadata"] == {"cost": 0.5, "a": 1, "b": 2}
    assert not {"event_id", "event_type"} & payload.keys()


def test_a_completed_task_heard_on_the_bus_completes_an_execution(telemetry):
    bus = Bus()
    telemetry.subscribe(bus)

    async def main() -> None:
        await telemetry.capture_routing_decision()
        await complete(bus, {"pool_id": "p", "result": {"status": "completed"}})
        await settled()

    asyncio.run(main())
    (execution,) = bus.said("execution_recorded")
    assert (execution["pool_id"], execution["success"]) == ("p", True)


def test_an_execution_recorded_whole_is_announced_once(telemetry):
    bus = Bus()
    telemetry.subscribe(bus)
    record = ExecutionRecord(
        task_id=TASK,
        timestamp=NOON,
        task_type="refactor",
        task_description="split the parser",
        repo="acme/api",
        model_tier="large",
        pool_type="swarm",
        routing_confidence=0.8,
        success=True,
        duration_seconds=2,
        cost_estimate=0.5,
        actual_cost=0.25,
    )

    async def main() -> ExecutionRecorded:
        event = await telemetry.record_execution(record)
        await telemetry.record_execution(record)
        await settled()
        return event

    event = asyncio.run(main())
    (message,) = bus.published
    assert message["type"] == "execution_recorded"
    assert message["payload"]["timestamp"] == "2026-03-01T12:00:00Z"
    assert message["payload"]["outcome_event_id"] == str(event.event_id)
    assert "metadata" not in message["payload"]


@pytest.mark.parametrize("kind", ["capture_feedback", "capture_pool_execution_start"])
def test_other_events_are_not_announced(telemetry, kind):
    bus = Bus()
    telemetry.subscribe(bus)

    async def main() -> None:
        await getattr(telemetry, kind)(task_id=TASK, feedback_type="x")
        await settled()

    asyncio.run(main())
    assert bus.published == []


def run_one_task(telemetry: Telemetry) -> None:
    async def main() -> None:
        await telemetry.capture_routing_decision(task_id=TASK)
        await telemetry.capture_routing_outcome(task_id=TASK, success=True)
        await settled()

    asyncio.run(main())


def test_a_bus_whose_enum_lacks_our_types_is_not_flooded(telemetry):
    bus = HostBus()
    link = telemetry.subscribe(bus)
    run_one_task(telemetry)
    assert bus.published == []
    assert link.unsent == 0


@pytest.mark.parametrize(
    ("kind", "publish", "said"),
    [
        (Bus, None, ["routing_decision", "execution_recorded"]),
        (Bus, False, []),
        (HostBus, True, ["routing_decision", "execution_recorded"]),
        (KnowingBus, None, [*All.MessageType][3:]),
        (KnowingBus, True, [*All.MessageType][3:]),
        (KnowingBus, False, []),
        (SyncBus, None, ["routing_decision", "execution_recorded"]),
    ],
)
def test_whether_to_announce_can_be_told(telemetry, kind, publish, said):
    bus = kind()
    link = telemetry.subscribe(bus, publish=publish)
    run_one_task(telemetry)
    assert [message["type"] for message in bus.published] == said
    assert link.unsent == 0


@pytest.mark.parametrize("kind", [FailingBus, AbruptBus])
def test_a_bus_that_fails_is_counted_and_told_and_the_host_goes_on(
    telemetry, recorded, caplog, kind
):
    failing, working = kind(), Bus()
    link = telemetry.subscribe(failing)
    telemetry.subscribe(working)
    run_one_task(telemetry)
    assert link.unsent == 2
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("cannot announce on the bus: <class 'ConnectionError'>")
    assert len(working.published) == 2
    assert len(recorded()) == 2


@pytest.mark.parametrize("kind", BUSES)
def test_a_hook_never_waits_for_the_bus(telemetry, kind):
    async def main() -> None:
        telemetry.subscribe(kind())
        hook = telemetry.capture_routing_decision(task_id=TASK)
        with pytest.raises(StopIteration) as done:
            hook.send(None)
        assert done.value.value.task_id == TASK

    asyncio.run(main())


def test_what_waits_for_a_slow_bus_is_bounded_and_the_rest_is_counted(telemetry, monkeypatch):
    monkeypatch.setattr(_bus, "MAX_IN_FLIGHT", 3)

    async def main() -> None:
        bus = SlowBus()
        link = telemetry.subscribe(bus)
        for _ in range(5):
            await telemetry.capture_routing_decision()
        assert link.unsent == 2
        bus.may_go_on.set()
        await settled()
        assert len(bus.published) == 3
        await telemetry.capture_routing_decision()
        await settled()
        assert len(bus.published) == 4
        assert link.unsent == 2

    asyncio.run(main())


def test_what_threads_hand_to_a_busy_loop_is_bounded_too(telemetry, monkeypatch):
    monkeypatch.setattr(_bus, "MAX_IN_FLIGHT", 3)

    async def main() -> None:
        bus = Bus()
        link = telemetry.subscribe(bus)

        def decide_often() -> None:
            for _ in range(5):
                decide(telemetry)

        worker = threading.Thread(target=decide_often)
        worker.start()
        worker.join()  # the loop can do nothing meanwhile
        assert link.unsent == 2
        await settled()
        assert len(bus.published) == 3

    asyncio.run(main())


class PlacedBus(Bus):
    """Knows in which thread and loop it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[tuple[int, asyncio.AbstractEventLoop]] = []

    async def publish(self, message):
        self.places.append((threading.get_ident(), asyncio.get_running_loop()))


@pytest.mark.parametrize("has_its_own_loop", [False, True])
def test_a_hook_called_from_a_thread_announces_through_the_loop_of_the_bus(
    telemetry, has_its_own_loop
):
    def hook() -> None:
        if has_its_own_loop:
            asyncio.run(telemetry.capture_routing_decision(task_id=TASK))
        else:
            decide(telemetry)

    async def main() -> None:
        bus = PlacedBus()
        link = telemetry.subscribe(bus)
        await asyncio.to_thread(hook)
        await settled()
        assert bus.places == [(threading.get_ident(), asyncio.get_running_loop())]
        assert link.unsent == 0

    asyncio.run(main())


@pytest.mark.parametrize("way", ["a message", "a hook"])
def test_a_link_made_before_the_loop_runs_learns_of_it(telemetry, way):
    bus = PlacedBus()
    link = telemetry.subscribe(bus)
    decide(telemetry)
    assert link.unsent == 1

    async def main() -> None:
        if way == "a message":
            await bus.handlers["pool_created"][0](Message(source_pool_id="p"))
        else:
            await telemetry.capture_routing_decision()
        await asyncio.to_thread(decide, telemetry)
        await settled()
        assert set(bus.places) == {(threading.get_ident(), asyncio.get_running_loop())}
        assert len(bus.places) == (1 if way == "a message" else 2)
        assert link.unsent == 1

    asyncio.run(main())


def test_without_a_loop_announcements_are_counted(telemetry):
    bus = Bus()

    async def subscribe() -> _bus.BusLink:
        return telemetry.subscribe(bus)

    for link in (telemetry.subscribe(bus), asyncio.run(subscribe())):
        before = link.unsent
        decide(telemetry)
        assert link.unsent == before + 1
    assert bus.published == []


def test_a_loop_that_ends_takes_its_announcements_along_and_the_next_one_is_used(telemetry):
    bus = SlowBus()

    async def main() -> _bus.BusLink:
        link = telemetry.subscribe(bus)
        await telemetry.capture_routing_decision()
        return link

    link = asyncio.run(main())
    assert link.unsent == 1, "cancelled as the loop ended"
    bus.may_go_on.set()
    run_one_task(telemetry)
    assert len(bus.published) == 2
    assert link.unsent == 1


def test_announcements_that_a_closed_loop_never_ended_are_counted_and_hold_up_nothing(
    telemetry, monkeypatch
):
    monkeypatch.setattr(_bus, "MAX_IN_FLIGHT", 2)
    bus = SlowBus()
    link = telemetry.subscribe(bus)
    left = asyncio.new_event_loop()
    for _ in range(2):
        left.run_until_complete(telemetry.capture_routing_decision())
    abandoned = asyncio.all_tasks(left)
    left.close()
    assert (len(abandoned), link.unsent) == (2, 0)

    async def main() -> None:
        bus.may_go_on = asyncio.Event()
        bus.may_go_on.set()
        await telemetry.capture_routing_decision()
        await settled()

    asyncio.run(main())
    assert len(bus.published) == 1
    assert link.unsent == 2
    for task in abandoned:
        task._log_destroy_pending = False  # they are meant to be


def test_a_loop_that_is_closed_at_this_very_moment_is_no_loop(telemetry):
    class Closing(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError("Event loop is closed")

    async def main() -> None:
        bus = Bus()
        link = telemetry.subscribe(bus)
        worker = threading.Thread(target=decide, args=(telemetry,))
        worker.start()
        worker.join()
        assert link.unsent == 1

    with asyncio.Runner(loop_factory=Closing) as runner:
        runner.run(main())


def test_a_fork_does_not_announce_through_the_loop_of_its_parent(telemetry, children):
    async def main() -> None:
        bus = Bus()
        link = telemetry.subscribe(bus)

        def hook_in_child() -> None:
            signal.alarm(10)
            decide(telemetry)
            assert link.unsent == 1

        children.run(hook_in_child)
        await telemetry.capture_routing_decision()
        await settled()
        assert (len(bus.published), link.unsent) == (1, 0)

    asyncio.run(main())


def test_what_is_announced_holds_no_secrets(telemetry):
    bus = Bus()
    telemetry.subscribe(bus)

    async def main() -> None:
        await telemetry.capture_routing_decision(prompt="use Bearer abcdefghijklmnopqrstuvwxyz")
        await settled()

    asyncio.run(main())
    assert "abcdefghijklmnop" not in str(bus.published)


def test_handlers_of_the_bus_that_hear_an_announcement_are_in_the_context_of_its_task(telemetry):
    heard: list[UUID] = []

    async def handler(message: Message) -> None:
        heard.append(_task_context.current_scope().task_id)

    async def main() -> None:
        bus = Bus()
        telemetry.subscribe(bus)
        bus.subscribe("routing_decision", handler)
        decision = await telemetry.capture_routing_decision()
        await settled()
        assert heard == [decision.task_id]

    asyncio.run(main())


def test_subscribing_twice_records_and_announces_once(telemetry):
    bus = Bus()
    link = telemetry.subscribe(bus)
    assert telemetry.subscribe(bus) is link
    assert [len(handlers) for handlers in bus.handlers.values()] == [1, 1, 1]
    link.close()
    assert telemetry.subscribe(bus) is not link


def test_a_decision_captured_as_a_typed_event_is_the_running_codes_too(telemetry):
    decision = RoutingDecision(task_id=TASK, task_type="x", repo="y", model_tier="z")
    telemetry.capture_sync(decision)
    outcome = telemetry.capture_routing_outcome_sync(success=True)
    assert outcome.task_id == decision.task_id
