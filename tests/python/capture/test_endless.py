"""Hosts' mappings without an end: a hook reads so much of them and goes on."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from orb_learning import Telemetry, instrument_pool_manager, instrument_router
from orb_learning._types import MAX_FIELDS, as_dict
from orb_learning.events import RoutingOutcome

FAR = 2_000_000
"""Stands for no end, so that a test of what has none fails instead of going on for ever."""

read = 0


def keys() -> Iterator[str]:
    global read  # noqa: PLW0603 - whoever reads has no other way to tell
    for number in range(FAR):
        read += 1
        yield f"k{number}"


def same() -> Iterator[str]:
    return ("same" for _ in keys())


class Endless(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return 1

    def __iter__(self) -> Iterator[str]:
        return keys()

    def __len__(self) -> int:
        return 3


class EndlessItems(Endless):
    def items(self) -> Any:
        return ((key, 1) for key in same())

    def get(self, name: str, default: Any = None) -> Any:
        return default


class EndlessDict(dict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        return keys()

    def keys(self) -> Any:
        return keys()

    def values(self) -> Any:
        return keys()

    def items(self) -> Any:
        return ((key, 1) for key in keys())


class EndlessTuple(tuple[Any, ...]):
    def _asdict(self) -> Endless:
        return Endless()


class EndlessAttributes:
    @property
    def __dict__(self) -> Any:
        return Endless()


class EndlessModel(BaseModel):
    def __iter__(self) -> Any:
        return ((key, 1) for key in keys())


class EndlessList(list[Any]):
    def __iter__(self) -> Iterator[str]:
        return keys()


ENDLESS = [
    *(Endless, EndlessItems, EndlessDict, EndlessTuple),
    *(EndlessAttributes, EndlessModel, EndlessList),
]


class Host:
    """Its task says what it returns."""

    def route_task(self, task: Any) -> Any:
        return task["returns"] if type(task) is dict else "small"

    def execute_on_pool(self, pool_id: Any, task: Any) -> Any:
        return task["returns"] if type(task) is dict else "done"


def hooks(given: Any) -> list[Callable[[Telemetry, Host], Any]]:
    """Return what a host may do with an object."""
    known = {"task_id": "ticket-7", "success": True}
    told = {"status": "done"}
    return [
        lambda hook, _: hook.capture_routing_outcome_sync(given),
        lambda hook, _: hook.capture_routing_outcome_sync(given, **known),
        lambda hook, _: hook.capture_routing_outcome_sync(**known, metadata=given),
        lambda hook, _: hook.capture_routing_outcome_sync(**known, metadata={"in": given}),
        lambda hook, _: hook.capture_routing_outcome_sync(**known, metadata={"in": [given]}),
        lambda hook, _: hook.capture_routing_outcome_sync(**known, error=given, actual_cost=given),
        lambda hook, _: hook.capture_routing_outcome_sync(task_id=given, success=given),
        lambda hook, _: hook.capture_routing_decision_sync(given),
        lambda hook, _: hook.capture_routing_decision_sync({"routing": given, "task_data": given}),
        lambda hook, _: hook.capture_routing_decision_sync(task_id="t", candidates=given),
        lambda hook, _: hook.capture_routing_decision_sync(task_description=given, repo=given),
        lambda hook, _: hook.capture_feedback_sync(given, feedback_type="accepted"),
        lambda hook, _: hook.record_execution_sync(given),
        lambda hook, _: hook.capture_sync(given),
        lambda _, host: host.route_task(given),
        lambda _, host: host.route_task({"prompt": "x", "returns": given}),
        lambda _, host: host.execute_on_pool("p", given),
        lambda _, host: host.execute_on_pool(given, {"prompt": "x", "returns": given}),
        lambda _, host: host.execute_on_pool("p", {"returns": {"error": given}}),
        lambda _, host: host.execute_on_pool("p", {"returns": {**told, "metadata": given}}),
        lambda _, host: host.execute_on_pool("p", {"returns": {**told, "output": [given]}}),
    ]


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("number", range(len(hooks(None))))
def test_a_mapping_without_an_end_is_read_in_part(telemetry, kind, number):
    host = Host()
    instrument_router(host, telemetry)
    instrument_pool_manager(host, telemetry)
    before = read
    hooks(kind())[number](telemetry, host)
    # Some is read by several: as fields, for what speaks of success, for what is told of it.
    assert read - before < 20 * MAX_FIELDS
    stats = telemetry.stats()
    assert stats.captured + stats.quarantined >= 1
    assert stats.dropped == 0


def test_of_an_outcome_only_what_has_no_end_is_cut(telemetry, recorded):
    host = Host()
    instrument_pool_manager(host, telemetry)
    host.execute_on_pool("p", {"returns": {"status": "done", "actual_cost": 3, "seen": Endless()}})
    outcome = recorded()[-1]
    assert (outcome.success, outcome.actual_cost) == (True, 3)
    assert outcome.metadata["seen"]["k0"] == 1


@pytest.mark.parametrize("kind", [dict, OrderedDict, Counter, lambda d: defaultdict(int, d)])
def test_a_dict_is_kept_whole(kind):
    whole = dict.fromkeys(range(MAX_FIELDS + 1), 1)
    assert as_dict(kind(whole)) == whole


def test_an_event_made_by_hand_takes_dicts_of_the_standard_library_only():
    known = {"task_id": uuid4(), "success": True}
    assert RoutingOutcome(**known, metadata={"in": OrderedDict(a=1)}).metadata == {"in": {"a": 1}}
    for kind in (EndlessDict, EndlessList):
        with pytest.raises(ValueError, match=f"holds a {kind.__name__}, which need have no end"):
            RoutingOutcome(**known, metadata={"in": kind()})
