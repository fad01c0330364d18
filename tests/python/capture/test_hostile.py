"""Whatever a host hands over, a hook returns and the spool has one more valid line."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orb_learning import Telemetry
from orb_learning._spellings import spellings
from orb_learning.events import EVENT_TYPES, InvalidEvent, parse_line

# pydantic hands what a host's `__getattribute__` raises to `sys.unraisablehook`: nothing is raised.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HOOKS = [
    "capture_routing_decision",
    "capture_routing_outcome",
    "capture_pool_execution_start",
    "capture_pool_execution_complete",
    "capture_feedback",
    "record_execution",
]


class HostError(Exception):
    """An error of the host's, which cannot say what it is."""

    def __str__(self) -> NoReturn:
        raise HostError

    __repr__ = __str__


class Mute:
    def __str__(self) -> NoReturn:
        raise HostError

    __repr__ = __iter__ = __len__ = __bool__ = __hash__ = __eq__ = __float__ = __index__ = __str__


class Guarded:
    def __getattribute__(self, name: str) -> NoReturn:
        raise HostError


class Grasping:
    """Has every attribute that is asked for."""

    def __getattr__(self, name: str) -> Any:
        return Grasping()


class NoItems(dict[str, Any]):
    def items(self) -> NoReturn:
        raise HostError

    __iter__ = keys = values = items


class NoMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> NoReturn:
        raise HostError

    def __iter__(self) -> Iterator[str]:
        yield "task_id"
        raise HostError

    def __len__(self) -> NoReturn:
        raise HostError


class NoList(list[Any]):
    def __iter__(self) -> NoReturn:
        raise HostError

    __len__ = __str__ = __repr__ = __iter__


class NoText(str):
    __slots__ = ()

    def __str__(self) -> NoReturn:
        raise HostError

    __repr__ = strip = lower = encode = isascii = __getitem__ = __len__ = __str__


class NoNumber(int):
    def __abs__(self) -> NoReturn:
        raise HostError

    __int__ = __str__ = __repr__ = bit_length = __lt__ = __abs__


class NoZone(tzinfo):
    def utcoffset(self, when: datetime | None) -> NoReturn:
        raise HostError

    tzname = dst = utcoffset


class WideZone(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(days=2)

    tzname = dst = utcoffset


class Word(Enum):
    SURROGATE = "\ud800"
    OBJECT = object()
    NAN = math.nan

    @property
    def name(self) -> NoReturn:
        raise HostError


class NoValue(Enum):
    ONE = 1

    @property
    def value(self) -> NoReturn:
        raise HostError


def own_tail() -> dict[str, Any]:
    endless: dict[str, Any] = {"list": []}
    endless["list"].append(endless)
    return endless


def crowd() -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [{} for _ in range(12)]
    for node in nodes:
        node.update({str(number): other for number, other in enumerate(nodes)})
    return nodes[0]


def laughs() -> list[Any]:
    made: list[Any] = ["ha"]
    for _ in range(20):
        made = [made] * 20
    return made


def well() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    return deep


HOSTILE = [
    *(Mute(), Guarded(), Grasping(), NoItems(a=1), NoMapping(), NoList([1]), NoText("x")),
    *(NoNumber(7), datetime(2026, 3, 1, tzinfo=NoZone()), datetime(2026, 3, 1, tzinfo=WideZone())),
    *(*Word, *NoValue, HostError(), own_tail(), crowd(), laughs(), well()),
    *(10**5000, -(10**5000), 2**1023, 10**400, math.nan, math.inf, -math.inf, Decimal("sNaN")),
    *("\ud800", "\0", "", " ", "x" * 300_000, b"\xff", bytearray(b"x"), memoryview(b"x")),
    *(datetime(2026, 3, 1), datetime.max, datetime.min.replace(tzinfo=UTC), date(2026, 3, 1)),
    *(object(), object, type, len, iter(()), (n for n in ()), asyncio.sleep, Ellipsis, 1j),
    *((), [], {}, set(), frozenset({1}), range(3), {1: 2}, {None: None}, {"\ud800": "\ud800"}),
    *({"task_id": {}}, {"metadata": []}, {"candidates": {"a": 2}}, True, 0, -1, 1.5, None),
]


@dataclass(frozen=True)
class Odd:
    """Stands for a hostile value where it must be printed: some cannot be, some never end."""

    number: int


def built(drawn: Any) -> Any:
    if isinstance(drawn, Odd):
        return HOSTILE[drawn.number]
    if isinstance(drawn, list):
        return [built(item) for item in drawn]
    if isinstance(drawn, dict):
        return {key: built(item) for key, item in drawn.items()}
    return drawn


values = st.recursive(
    st.builds(Odd, st.integers(0, len(HOSTILE) - 1))
    | st.text()
    | st.integers()
    | st.floats()
    | st.datetimes()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
names = st.sampled_from(
    sorted({name for cls in EVENT_TYPES.values() for name in spellings(cls)})
) | st.sampled_from(["routing", "task_data", "event_type", "metadata", "self", "cls", ""])
good = {
    "task_id": "ticket-7",
    "success": True,
    "feedback_type": "x",
    "timestamp": "2026-03-01T12:00:00Z",
}
fields = st.dictionaries(names | st.text(max_size=5), values, max_size=4)
payloads = values | fields | fields.map(lambda odd: good | odd)


class Probe:
    """Hooks with a spool of their own, and how far it has been looked at."""

    def __init__(self, folder: str) -> None:
        self.telemetry = Telemetry(folder)
        self._spool = Path(folder) / "spool"
        self._read = 0
        self._before = self.telemetry.stats()

    def check(self, name: str, given: Any, keywords: dict[str, Any], awaitable: bool) -> None:
        """Call a hook and see that it has written one valid line."""
        if awaitable:
            event = at_once(getattr(self.telemetry, name)(given, **keywords))
        else:
            event = getattr(self.telemetry, f"{name}_sync")(given, **keywords)
        (segment,) = self._spool.iterdir()
        with segment.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        assert data.endswith(b"\n")
        assert data.count(b"\n") == 1
        written = parse_line(data[:-1])
        assert isinstance(written, InvalidEvent) is (event is None)
        assert event is None or written == event
        before, stats = self._before, self.telemetry.stats()
        self._before = stats
        assert stats.captured - before.captured == (event is not None)
        assert stats.quarantined - before.quarantined == (event is None)
        assert (stats.dropped, stats.written_bytes) == (0, self._read)


def at_once(hook: Coroutine[Any, Any, Any]) -> Any:
    """Return what an awaitable hook returns, which it does without waiting for anything."""
    try:
        hook.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the hook waited")


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    with tempfile.TemporaryDirectory() as folder:
        yield Probe(folder)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_value_in_any_place_stops_a_hook(probe, number):
    value = HOSTILE[number]
    probe.check("capture", value, {}, awaitable=False)
    probe.check("capture_feedback", value, {}, awaitable=False)
    for name, key in (
        ("capture_routing_decision", "routing"),
        ("capture_routing_decision", "task_data"),
        ("capture_routing_outcome", "success"),
        ("capture_routing_outcome", "error_type"),
        ("capture_pool_execution_start", "task_id"),
        ("capture_pool_execution_complete", "metadata"),
        ("capture_feedback", "anything"),
        ("record_execution", "timestamp"),
    ):
        probe.check(name, {**good, key: value}, {}, awaitable=False)
    probe.check("record_execution", good, {"repo": value, "anything": [value]}, awaitable=True)


# Over seven tests 7,000 payloads, and 21,000 with `--long`.
many = settings(
    max_examples=10 * settings.default.max_examples, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("name", HOOKS)
@many
@given(given_value=payloads, keywords=fields, awaitable=st.booleans())
def test_no_payload_stops_a_hook(probe, name, given_value, keywords, awaitable):
    probe.check(name, built(given_value), built(keywords), awaitable)


@many
@given(given_value=payloads, awaitable=st.booleans())
def test_no_payload_stops_the_capture_of_typed_events(probe, given_value, awaitable):
    probe.check("capture", built(given_value), {}, awaitable)
