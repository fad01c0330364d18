"""What no field takes never costs the outcome, on every way in."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orb_learning import Telemetry
from orb_learning.capture import Reading
from orb_learning.errors import InvalidEventError
from orb_learning.events import ExecutionRecorded
from orb_learning.importer import FieldMap, import_files
from test_importer import ROW, write_json
from test_status_words import by_block, by_bus, by_hook, by_instrument, outcomes

WAYS = [by_hook, by_instrument, by_bus, by_block]


class QuotaError(Exception):
    """A host's own error."""


READ = [
    ({"error": ValueError("boom")}, {"error_type": "crash", "error_message": "ValueError: boom"}),
    ({"error": TimeoutError()}, {"error_type": "timeout", "error_message": "TimeoutError"}),
    ({"error": QuotaError("no")}, {"error_type": "crash", "error_message": "QuotaError: no"}),
    (
        {"error": {"type": "RateLimit", "message": "slow down"}},
        {"error_type": "RateLimit", "error_message": "slow down"},
    ),
    ({"error": {"type": "RateLimit"}}, {"error_type": "RateLimit", "error_message": "RateLimit"}),
    ({"error": {"code": 429}}, {"error_type": "429", "error_message": "429"}),
    ({"error": {"deep": {"x": 1}}}, {"error_type": None, "error_message": "a dict of 2"}),
    ({"error": ["x"]}, {"error_message": "['x']"}),
    ({"error": 7}, {"error_message": "7"}),
    ({"error": False}, {"error_message": None}),
    ({"error": {}}, {"error_message": None}),
    ({"duration": timedelta(seconds=3)}, {"duration_seconds": 3.0}),
    ({"cpu_time_seconds": timedelta(seconds=3)}, {"cpu_time_seconds": 3.0}),
    ({"duration": "3.5"}, {"duration_seconds": 3.5}),
    ({"quality_score": 92.4}, {"quality_score": 92}),
    ({"quality_score": 92.6}, {"quality_score": 93}),
    ({"quality_score": "88.2"}, {"quality_score": 88}),
    ({"quality_score": Decimal("55.1")}, {"quality_score": 55}),
    ({"quality_score": 1.0}, {"quality_score": 1}),
    ({"quality_score": 0}, {"quality_score": 0}),
    ({"actual_cost": "$0.42"}, {"actual_cost": 0.42}),
    ({"actual_cost": "0.42 USD"}, {"actual_cost": 0.42}),
    ({"actual_cost": " usd 1e-3 "}, {"actual_cost": 0.001}),
    ({"actual_cost": Decimal("0.5")}, {"actual_cost": 0.5}),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("said", "read"), READ)
def test_what_can_be_read_is_read(telemetry, recorded, way, said, read):
    success = "error" not in said or not said["error"]
    way(telemetry, {"success": success, **said})
    (event,) = outcomes(recorded())
    assert event.success is success
    assert {name: getattr(event, name) for name in read} == read


UNREAD = [
    ("actual_cost", -0.02),
    ("actual_cost", "0,42"),
    ("actual_cost", "0.42 EUR"),
    ("actual_cost", "€0.42"),
    ("actual_cost", "1,200.50"),
    ("actual_cost", "free"),
    ("actual_cost", float("nan")),
    ("actual_cost", float("inf")),
    ("actual_cost", True),
    ("actual_cost", 1e300),
    ("quality_score", 0.92),
    ("quality_score", 101),
    ("quality_score", -1),
    ("quality_score", "good"),
    ("cost_estimate", []),
    ("peak_memory_mb", "512 MB"),
    ("cpu_time_seconds", -1),
    ("decision_id", "no uuid"),
    ("error_type", 7),
    *(
        (name, flag)
        for name in ("cost_estimate", "quality_score", "peak_memory_mb", "cpu_time_seconds")
        for flag in (True, False)
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "value"), UNREAD)
def test_what_cannot_be_read_is_kept_beside_the_outcome(telemetry, recorded, way, name, value):
    way(telemetry, {"success": False, name: value, "solution_summary": "x"})
    (event,) = outcomes(recorded())
    assert (event.success, event.solution_summary) == (False, "x")
    if name != "decision_id" or way is by_hook:
        assert getattr(event, name) is None
    assert str(event.metadata[name]) == str(value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", [True, -1, "soon", [3], timedelta(seconds=-1)])
def test_what_is_no_duration_leaves_the_measured_one(telemetry, recorded, way, said):
    way(telemetry, {"success": True, "duration_seconds": said, "metadata": {"note": "kept"}})
    (event,) = outcomes(recorded())
    assert str(event.metadata["duration_seconds"]) == str(said)
    assert event.metadata["note"] == "kept"
    if way in (by_instrument, by_block):
        assert event.duration_seconds >= 0
        assert event.duration_source == "measured"
    else:
        assert (event.duration_seconds, event.duration_source) == (None, None)
    assert telemetry.stats().misfits == 1


@pytest.mark.parametrize("metadata", ["note", {}, {"a": 1}])
def test_metadata_of_any_kind_stands_beside_a_duration_that_is_none(telemetry, recorded, metadata):
    by_block(telemetry, {"success": True, "duration": "soon", "metadata": metadata})
    (event,) = outcomes(recorded())
    told = metadata if isinstance(metadata, dict) else {"metadata": metadata}
    assert event.metadata == {"duration": "soon", **told}


@pytest.mark.parametrize("name", ["rating", "attempt"])
def test_a_boolean_that_is_asked_for_refuses_the_event_in_one_line(telemetry, recorded, name):
    assert telemetry.capture_feedback_sync("t", feedback_type="rating", **{name: True}) is None
    (event,) = recorded()
    assert event.reason.startswith(f"{name}: Input should be a whole number from 1 to ")


def test_misfits_are_counted_and_each_field_is_told_once(telemetry, caplog):
    with caplog.at_level(logging.WARNING, logger="orb_learning.capture"):
        for score in (0.5, 0.7):
            by_hook(telemetry, {"success": True, "quality_score": score, "actual_cost": "1 EUR"})
    assert telemetry.stats().misfits == 4
    assert telemetry.stats().quarantined == 0
    score, cost = sorted(caplog.messages, reverse=True)
    assert score.startswith("quality_score '0.5' lies between 0 and 1, where scores are from 0 to")
    assert "Telemetry(quality_scale=1)" in score
    assert cost.startswith("actual_cost '1 EUR' is no amount in USD like 0.42 or $0.42; it is kept")


@pytest.mark.parametrize("way", WAYS)
def test_a_scale_of_one_is_a_hundredth(home, events_in, way):
    with Telemetry(home.root, quality_scale=1) as telemetry:
        for score in (0, 0.29, 0.5, 1, 1.0, 0.925, 0.926, 92):
            way(telemetry, {"success": True, "quality_score": score})
        scores = [event.quality_score for event in outcomes(events_in(home.spool))]
    assert scores == [0, 29, 50, 100, 100, 92, 93, None]


def test_what_is_told_of_a_misfit_holds_no_secret_and_is_text(telemetry, caplog):
    with caplog.at_level(logging.WARNING, logger="orb_learning.capture"):
        by_hook(telemetry, {"success": True, "actual_cost": "joe@example.com \ud800"})
        by_hook(telemetry, {"status": "joe@example.com \ud800"})
    cost, word = caplog.messages[0], caplog.messages[-1]
    assert cost.startswith("actual_cost '[email]")
    assert "joe@example.com" not in caplog.text
    assert word.startswith("status word '[email]")
    caplog.text.encode()


def test_a_secret_is_masked_before_a_text_is_cut(telemetry, caplog, recorded):
    told = "clone failed while pushing to the remote https://u:s3cretpass@host/x"
    with caplog.at_level(logging.WARNING, logger="orb_learning.capture"):
        by_hook(telemetry, {"success": True, "actual_cost": told})
        by_hook(telemetry, {"status": told})
        by_hook(telemetry, {"status": "word " * 2000})
    assert "s3cret" not in caplog.text
    assert all("s3cret" not in event.to_line().decode() for event in recorded())
    assert max(map(len, caplog.messages)) < 1100


@pytest.mark.parametrize("metadata", ["note", [1], 7])
def test_metadata_of_any_kind_costs_no_outcome(telemetry, recorded, metadata):
    by_hook(telemetry, {"success": True, "metadata": metadata})
    by_block(telemetry, {"success": True, "metadata": metadata})
    assert [event.success for event in outcomes(recorded())] == [True, True]


def test_metadata_that_fits_no_line_is_cut_and_costs_no_outcome(telemetry, recorded):
    by_hook(telemetry, {"success": True, "metadata": {str(i): "x " * 40_000 for i in range(9)}})
    (event,) = outcomes(recorded())
    assert event.success is True
    assert event.metadata["0"].startswith("x x")


def test_what_only_denies_a_failure_says_no_success(telemetry, recorded):
    by_hook(telemetry, {"timed_out": False})
    (event,) = outcomes(recorded())
    assert event.reason == "success: Field required"


def test_an_attempt_that_is_none_is_refused(telemetry, recorded):
    by_hook(telemetry, {"success": True, "attempt": 0, "actual_cost": "much"})
    (event,) = outcomes(recorded())
    assert event.reason.startswith("attempt: ")


def test_a_scale_is_one_or_a_hundred():
    with pytest.raises(ValueError, match="quality_scale is 1 or 100, not 10"):
        Reading(quality_scale=10)


def test_in_strict_mode_a_misfit_is_an_error(home):
    with (
        Telemetry(home.root, strict=True) as telemetry,
        pytest.raises(InvalidEventError, match="actual_cost '1 EUR' is no amount in USD"),
    ):
        by_hook(telemetry, {"success": True, "actual_cost": "1 EUR"})


def test_what_is_required_is_still_refused(telemetry, recorded):
    by_hook(telemetry, {"actual_cost": 1})
    (event,) = outcomes(recorded())
    assert event.reason == "success: Field required"


ROWS: list[dict[str, Any]] = [
    {"error": None},
    {"error": {"type": "RateLimit", "message": "slow down"}, "success": False},
    {"error": False},
    {"error": ["x"], "success": False},
    {"metrics": {"cost": None}},
    {"metrics": None},
    {"metrics": {"cost": "0,2"}},
]


def test_rows_of_files_are_read_alike(home, events_in, tmp_path):
    rows = [{**ROW, "task_id": f"t{number}", **row} for number, row in enumerate(ROWS)]
    with Telemetry(home.root) as telemetry:
        report = import_files(
            telemetry,
            [write_json(tmp_path / "runs.jsonl", rows)],
            field_map=FieldMap(["actual_cost=metrics.cost"]),
        )
    assert (report.recorded, report.rejected, report.misfits) == (7, 0, 1)
    events: list[ExecutionRecorded] = events_in(home.spool)
    assert [event.error_type for event in events[:4]] == [None, "RateLimit", None, None]
    assert events[6].actual_cost is None
    assert events[6].metadata["actual_cost"] == "0,2"
