"""A status word of the host's own, on every way in: refused whole, counted, taught, loaded."""

from __future__ import annotations

import asyncio
import json
import logging
from enum import Enum, IntEnum, auto
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from hosts.test_bus import Bus, complete
from orb_learning import (
    Telemetry,
    current_execution,
    instrument_pool_manager,
    instrument_router,
)
from orb_learning._success import FAILURE, SUCCESS, Vocabulary
from orb_learning.cli import app
from orb_learning.events import (
    Event,
    InvalidEvent,
    PoolExecutionComplete,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
)
from orb_learning.home import Home
from orb_learning.upkeep import read_status
from test_importer import ROW, write_json


class Pools:
    def execute_on_pool(self, pool_id: str, task: dict[str, Any]) -> Any:
        return task["result"]


def outcomes(events: list[Event]) -> list[Event]:
    kinds = (RoutingOutcome, PoolExecutionComplete, TaskCompleted, InvalidEvent)
    return [event for event in events if isinstance(event, kinds)]


def by_hook(telemetry: Telemetry, said: dict[str, Any]) -> None:
    telemetry.capture_routing_outcome_sync(task_id="t", **said)


def by_instrument(telemetry: Telemetry, said: dict[str, Any]) -> None:
    pools = Pools()
    instrument_pool_manager(pools, telemetry)
    pools.execute_on_pool("p", {"id": "t", "result": said})


def by_bus(telemetry: Telemetry, said: dict[str, Any]) -> None:
    bus = Bus()
    telemetry.subscribe(bus)
    asyncio.run(complete(bus, {"task_id": "t", **said}))


def by_block(telemetry: Telemetry, said: dict[str, Any]) -> None:
    with telemetry.execution(task_id="t") as run:
        for name, value in said.items():
            setattr(run, name, value)


def by_decorated(telemetry: Telemetry, said: dict[str, Any]) -> None:
    telemetry.execution(task_id="t")(lambda: said)()


WAYS = [by_hook, by_instrument, by_bus, by_block, by_decorated]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("said", "success"),
    [
        ({"status": "FAIL"}, False),
        ({"ok": False}, False),
        ({"returncode": 1}, False),
        ({"subtype": "success", "is_error": True}, False),
        ({"status": 500}, False),
        ({"resolved": True}, True),
        ({"exit_code": 0}, True),
        ({"success": "no"}, False),
    ],
)
def test_every_way_in_reads_flags_codes_and_words_alike(telemetry, recorded, way, said, success):
    way(telemetry, dict(said))
    (event,) = outcomes(recorded())
    assert event.success is success


@pytest.mark.parametrize("way", [by_hook, by_instrument, by_bus, by_block])
def test_a_word_that_nobody_knows_is_kept_whole_and_told_once(
    telemetry, recorded, way, caplog, home
):
    with caplog.at_level(logging.WARNING, logger="orb_learning.capture"):
        for _ in range(2):
            way(telemetry, {"status": "green", "actual_cost": 0.25, "duration_seconds": 3})
    refused, again = outcomes(recorded())
    for event in (refused, again):
        assert isinstance(event, InvalidEvent)
        assert event.reason.startswith("status word 'green' unknown; known are success, ")
        assert '"actual_cost": 0.25' in event.payload
        assert '"duration_seconds": 3' in event.payload
    assert telemetry.stats().unknown_words == 2
    told = [text for text in caplog.messages if text.startswith("status word 'green' unknown")]
    assert len(told) == 1
    telemetry.close()

    runner = CliRunner()
    assert runner.invoke(app, ["--home", str(home.root), "load"]).exit_code == 0
    assert read_status(home).unknown_words == 2
    assert "in 2 of them" in runner.invoke(app, ["--home", str(home.root), "status"]).output
    replay = ["--home", str(home.root), "quarantine", "replay"]
    assert "0 loaded" in runner.invoke(app, replay).output
    done = runner.invoke(app, [*replay, "--status-word", "Green=success"])
    assert done.output.startswith("2 loaded, 0 duplicates, 0 still invalid")
    assert read_status(home).unknown_words == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_taught_word_is_understood_by_every_way_in(home, events_in, way):
    with Telemetry(home.root, status_words={"green": True, "red": False}) as telemetry:
        way(telemetry, {"status": "Green"})
        way(telemetry, {"status": "RED"})
        first, second = outcomes(events_in(home.spool))
    assert (first.success, second.success) == (True, False)


@pytest.mark.parametrize("way", [by_instrument, by_bus, by_block, by_decorated])
def test_what_is_not_over_ends_nothing(telemetry, recorded, way):
    way(telemetry, {"status": "queued"})
    assert outcomes(recorded()) == []
    assert telemetry.stats().quarantined == 0


def test_a_bare_text_that_a_decorated_function_returns_says_nothing(telemetry, recorded):
    for result in ("failed", False, ["failed"], {"answer": 42}):
        telemetry.execution(task_id="t")(lambda result=result: result)()
    assert [(event.success, event.metadata) for event in outcomes(recorded())] == [
        (True, {"success_source": "returned"})
    ] * 4


def test_an_import_is_taught_words_too(home: Home, tmp_path):
    rest = {key: value for key, value in ROW.items() if key != "success"}
    rows = [{**rest, "task_id": word, "status": word} for word in ("green", "red", "queued")]
    file = write_json(tmp_path / "runs.jsonl", rows)
    runner = CliRunner()
    command = ["--home", str(home.root), "import", str(file)]

    refused = runner.invoke(app, command)
    assert refused.exit_code == 2
    assert "3 rejected" in refused.output
    assert "status word 'green' unknown" in refused.output
    assert "status 'queued' says that the work is not over" in refused.output

    words = ["--status-word", "green=success", "--status-word", "red=failure"]
    assert "2 recorded, 1 rejected" in runner.invoke(app, [*command, *words]).output
    lines = [line for path in home.spool.glob("*.jsonl") for line in path.read_text().splitlines()]
    said = [json.loads(line) for line in lines]
    assert [e["success"] for e in said if e["event_type"] == "execution_recorded"] == [True, False]

    odd = runner.invoke(app, [*command, "--status-word", "green=maybe"])
    assert odd.exit_code == 2
    assert "green=maybe" in odd.output


class Step(Enum):
    PENDING = auto()
    FAILED = auto()
    DONE = auto()


class Code(IntEnum):
    OK = 0
    FAILED = 1


class Named(NamedTuple):
    success: bool
    error: str


class Judged:
    """Says its success by a property."""

    ok = object()

    @property
    def success(self) -> bool:
        return False


@pytest.mark.parametrize("way", [by_hook, by_instrument, by_bus, by_block, by_decorated])
@pytest.mark.parametrize(
    ("said", "success"),
    [
        ({"status": Step.FAILED}, False),
        ({"status": Step.DONE}, True),
        ({"success": Code.FAILED}, False),
        ({"status": "500"}, False),
        ({"success": True, "metadata": {"state": "open", "failed": 2, "timeout": 30}}, True),
        ({"success": True, "timeout": 30}, True),
        ({"success": "off"}, None),
    ],
)
def test_members_texts_and_metadata_are_no_trap(telemetry, recorded, way, said, success):
    way(telemetry, dict(said))
    (event,) = outcomes(recorded())
    assert getattr(event, "success", None) is success


def test_what_is_not_over_is_no_success_of_a_hook(telemetry, recorded):
    by_hook(telemetry, {"status": Step.PENDING})
    (event,) = outcomes(recorded())
    assert event.reason.startswith("status <Step.PENDING: 1> says that the work is not over")


@pytest.mark.parametrize("result", [Named(False, "boom"), Judged(), {"error": "boom"}])
def test_results_of_every_shape_are_asked(telemetry, recorded, result):
    by_instrument(telemetry, result)
    by_decorated(telemetry, result)
    assert [event.success for event in outcomes(recorded())] == [False, False]


@pytest.mark.parametrize(
    "payload",
    [
        {"success": False, "result": {"success": True}},
        {"status": "failed", "result": {"status": "ok"}},
        {"error": "boom", "result": {"error": "", "output": "x"}},
        {"result": False},
        {"result": "failed"},
        {"result": ValueError("boom")},
        {"success": True, "result": {"ok": False}},
    ],
)
def test_a_message_and_its_result_may_contradict_each_other(telemetry, recorded, payload):
    by_bus(telemetry, payload)
    (event,) = outcomes(recorded())
    assert event.success is False


def test_an_empty_error_of_a_result_does_not_hide_the_messages_own(telemetry, recorded):
    by_bus(telemetry, {"error": "boom", "result": {"error": "", "output": "x"}})
    (event,) = outcomes(recorded())
    assert event.error_message == "boom"


def test_an_outcome_names_the_decision_in_the_home_of_every_recorder(home, events_in, tmp_path):
    pools = Pools()
    homes = (home.root, tmp_path / "other")
    for root in homes:
        instrument_pool_manager(pools, Telemetry(root))
    pools.execute_on_pool("p", {"id": "t", "result": {"ok": True}})
    for root in homes:
        decision, start, end = events_in(root / "spool")
        assert start.decision_id == end.decision_id == decision.event_id


def test_a_message_of_work_that_is_not_over_ends_nothing(telemetry, recorded):
    by_bus(telemetry, {"status": "queued", "result": {"status": "ok"}})
    assert outcomes(recorded()) == []


def test_what_a_function_returns_contradicts_its_block(telemetry, recorded):
    @telemetry.execution(task_id="t")
    def work() -> dict[str, Any]:
        current_execution().success = True
        current_execution().state = "reviewing"
        return {"success": False}

    work()
    (event,) = outcomes(recorded())
    assert event.success is False


class Routers:
    def route_task(self, task: dict[str, Any]) -> Any:
        return task["result"]


def test_a_router_whose_task_is_not_over_has_decided(telemetry, recorded):
    router = Routers()
    instrument_router(router, telemetry)
    router.route_task({"id": "t", "result": {"status": "queued", "duration": 2}})
    (decision,) = recorded()
    assert isinstance(decision, RoutingDecision)


@pytest.mark.parametrize(
    ("result", "success"),
    [
        ({"status": "red", "duration": 2}, False),
        ({"status": "green"}, True),
        ({"status": "exploded", "cost": 0.3}, None),
        ({"error": "boom", "duration": 2}, False),
    ],
)
def test_a_router_that_runs_the_task_is_heard(home, events_in, result, success):
    router = Routers()
    with Telemetry(home.root, status_words={"red": False, "green": True}) as telemetry:
        instrument_router(router, telemetry)
        router.route_task({"id": "t", "result": result})
    (event,) = outcomes(events_in(home.spool))
    assert getattr(event, "success", None) is success


def test_a_taught_word_is_known_in_whatever_form_it_is_said():
    words = Vocabulary({"termine\u0301": True, "\u00e9chou\u00e9": False})
    assert words.verdict({"status": "Termin\u00e9"}) == SUCCESS
    assert words.verdict({"status": "e\u0301choue\u0301"}) == FAILURE
