"""Files of other tools come in by one command, read as their public schemas say."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orb_learning import cli
from orb_learning._types import task_uuid
from orb_learning.events import UNHASHED, ExecutionRecorded, InvalidEvent
from orb_learning.importer import PRESETS, FieldMap, Preset
from orb_learning.importer._survey import NEEDED
from orb_learning.spool import MAX_LINE_BYTES

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"
OURS = {"event_id", "event_type", "schema_version", "occurred_at", "task_id", *UNHASHED}


@dataclass(frozen=True)
class Ended:
    code: object
    out: str
    err: str


@pytest.fixture
def ran(monkeypatch, capsys, home, tmp_path) -> Callable[..., Ended]:
    """Run `orb-learning import` on a file of this text."""

    def call(text: str, *options: str) -> Ended:
        file = tmp_path / "export"
        file.write_text(text)
        command = ["orb-learning", "--home", str(home.root), "import", str(file), *options]
        monkeypatch.setattr(sys, "argv", command)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def came(ran, home, events_in) -> Callable[..., list[Any]]:
    """Import a file of this text, of runs that are all accepted, and return its events."""

    def call(text: str, *options: str) -> list[Any]:
        ended = ran(text, *options)
        assert (ended.code, ended.out.split(" rejected")[0][-1]) == (0, "0"), ended
        return events_in(home.spool)

    return call


def said(event: ExecutionRecorded) -> dict[str, Any]:
    """Return every field that an import filled, but the ids and times that it gave itself."""
    fields = event.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in fields.items() if name not in OURS}


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a table, nested values as JSON, as Langfuse and pandas write them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                name: json.dumps(value) if isinstance(value, dict | list) else value
                for name, value in row.items()
            }
        )
    return text.getvalue()


def as_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# OpenHands

OPENHANDS_METADATA = {
    "agent_class": "CodeActAgent",
    "llm_config": {"model": "anthropic/m-1"},
    "max_iterations": 100,
    "eval_output_dir": "out",
    "start_time": "2026-03-01 09:00:00",
    "git_commit": "abc",
    "dataset": "SWE-bench_Lite",
    "data_split": "test",
}
OPENHANDS_ROW = {
    "instance_id": "acme__api-1",
    "test_result": {"git_patch": "diff"},
    "instruction": "mend the parser",
    "metadata": OPENHANDS_METADATA,
    "history": [
        {"id": 0, "timestamp": "2026-03-01T10:00:00.500000", "source": "user"},
        {"id": 1, "timestamp": "2026-03-01T10:02:00", "source": "agent"},
    ],
    "metrics": {"accumulated_cost": 0.75, "costs": [{"model": "m", "cost": 0.75}]},
    "error": None,
    "instance": {"repo": "acme/api", "instance_id": "acme__api-1"},
    "report": {"resolved": True, "error_eval": False},
}
OPENHANDS_TOLD = {key: value for key, value in OPENHANDS_METADATA.items() if value is not None}


def test_openhands(came):
    paired = [
        [{"timestamp": "2026-03-01T11:00:00"}, {"timestamp": "2026-03-01T11:00:02"}],
        [{"timestamp": "2026-03-01T11:00:05"}, {"timestamp": "2026-03-01T11:00:30"}],
    ]
    broken = {"test_result": {}, "history": None, "metrics": None, "report": None}
    rows = [
        OPENHANDS_ROW,
        {**OPENHANDS_ROW, "history": paired, "report": {"resolved": False}},
        {**OPENHANDS_ROW, **broken, "instance": None, "error": "Timeout after 60 seconds"},
    ]
    evaluated = {
        "instance_id": "acme__api-2",
        "test_result": {"report": {"resolved": True}, "test_output": "x" * MAX_LINE_BYTES},
        "metadata": OPENHANDS_METADATA,
    }
    events = came(as_lines([*rows, evaluated]), "--from", "openhands")
    common = {
        "task_group": "acme__api-1",
        "task_type": "SWE-bench_Lite",
        "repo": "acme/api",
        "model_tier": "anthropic/m-1",
        "task_description": "mend the parser",
    }
    told = {**OPENHANDS_TOLD, "instance_id": "acme__api-1"}
    assert [said(event) for event in events] == [
        {
            **common,
            "timestamp": "2026-03-01T10:00:00.500000Z",
            "duration_seconds": 119.5,
            "success": True,
            "actual_cost": 0.75,
            "metadata": {**told, "report": OPENHANDS_ROW["report"]},
        },
        {
            **common,
            "timestamp": "2026-03-01T11:00:00Z",
            "duration_seconds": 30,
            "success": False,
            "actual_cost": 0.75,
            "metadata": {**told, "report": {"resolved": False}},
        },
        {
            **common,
            "timestamp": "2026-03-01T09:00:00Z",
            "repo": "SWE-bench_Lite",
            "success": False,
            "error_message": "Timeout after 60 seconds",
            "metadata": told,
        },
        {
            "task_group": "acme__api-2",
            "timestamp": "2026-03-01T09:00:00Z",
            "task_type": "SWE-bench_Lite",
            "repo": "SWE-bench_Lite",
            "model_tier": "anthropic/m-1",
            "success": True,
            "metadata": {**OPENHANDS_TOLD, "instance_id": "acme__api-2"},
        },
    ]
    assert len({event.task_id for event in events}) == 4


def test_openhands_output_that_was_not_evaluated_says_where_the_result_is_looked_for(ran):
    row = {key: value for key, value in OPENHANDS_ROW.items() if key != "report"}
    ended = ran(as_lines([row]), "--from", "openhands")
    assert ended.code == 2
    assert (
        "preset openhands finds in no row success (not at test_result.report.resolved or "
        "report.resolved or error); say where to take it from, --map success=" in ended.err
    )


def test_openhands_output_with_an_empty_error_and_no_result_is_no_failure(ran, home, events_in):
    untested = {**OPENHANDS_ROW, "error": "", "report": None}
    ended = ran(as_lines([OPENHANDS_ROW, untested]), "--from", "openhands")
    assert ended.out == "2 rows: 1 recorded, 1 rejected\n"
    assert "success" in events_in(home.spool)[1].reason


# SWE-bench

SWE_BENCH = {
    "acme__api-1": {
        "patch_is_None": False,
        "patch_exists": True,
        "patch_successfully_applied": True,
        "resolved": True,
        "tests_status": {"FAIL_TO_PASS": {"success": ["t"], "failure": []}},
    },
    "acme__api-2": {
        "patch_is_None": True,
        "patch_exists": False,
        "patch_successfully_applied": False,
        "resolved": False,
    },
}
GIVEN = ("--map", "model_tier='m-1'", "--map", "timestamp='2026-03-01T10:00:00Z'")


@pytest.mark.parametrize("indent", [None, 4])
def test_swe_bench(came, indent):
    events = came(json.dumps(SWE_BENCH, indent=indent), "--from", "swe-bench", *GIVEN)
    common = {
        "timestamp": "2026-03-01T10:00:00Z",
        "task_type": "swe-bench",
        "repo": "swe-bench",
        "model_tier": "m-1",
    }
    assert [said(event) for event in events] == [
        {
            **common,
            "task_group": "acme__api-1",
            "success": True,
            "metadata": {
                "resolved": True,
                "patch_is_None": False,
                "patch_exists": True,
                "patch_successfully_applied": True,
            },
        },
        {
            **common,
            "task_group": "acme__api-2",
            "success": False,
            "metadata": {
                "resolved": False,
                "patch_is_None": True,
                "patch_exists": False,
                "patch_successfully_applied": False,
            },
        },
    ]
    assert len({event.task_id for event in events}) == 2


def test_two_models_on_one_benchmark_replace_nothing_of_each_other(came, ran):
    came(json.dumps(SWE_BENCH), "--from", "swe-bench", *GIVEN)
    other = ("--map", "model_tier='m-2'", *GIVEN[2:])
    events = came(json.dumps(SWE_BENCH), "--from", "swe-bench", *other)
    assert len({event.task_id for event in events}) == 4
    again = came(json.dumps(SWE_BENCH), "--from", "swe-bench", *other)
    assert {event.event_id for event in again} == {event.event_id for event in events}


# Langfuse

TRACES = [
    {
        "id": "t-1",
        "timestamp": "2026-03-01T10:00:00.250Z",
        "name": "answer",
        "userId": "ann-7",
        "sessionId": None,
        "environment": "production",
        "tags": ["a"],
        "input": {"messages": "x" * MAX_LINE_BYTES},
        "output": "y",
        "metadata": {"agent": "coder", "model": "m-1"},
        "latency": 2.5,
        "totalCost": "0.0125",
        "level": "DEFAULT",
        "errorCount": 0,
    },
    {
        "id": "t-2",
        "timestamp": "2026-03-01T11:00:00.000Z",
        "name": "",
        "metadata": {"model": "m-2"},
        "latency": None,
        "totalCost": None,
        "level": "ERROR",
        "errorCount": 3,
    },
    {
        "id": "t-3",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "name": "answer",
        "metadata": {"model": "m-1"},
        "latency": 1,
        "level": "WARNING",
        "errorCount": 0,
    },
]
TRACES_GIVEN = ("--map", "model_tier=metadata.model", "--map", "repo='acme/api'")


def test_one_trace_alone_is_a_row_whatever_lists_it_holds(came):
    row = {**TRACES[0], "input": {"messages": [{"role": "user"}]}, "metadata": {"steps": [{}]}}
    options = ("--from", "langfuse-traces", "--map", "model_tier='m'", "--map", "repo='r'")
    (event,) = came(as_lines([row]), *options)
    assert event.task_id == task_uuid("t-1")


@pytest.mark.parametrize("write", [json.dumps, as_lines, as_csv])
def test_langfuse_traces(came, write):
    events = came(write(TRACES), "--from", "langfuse-traces", *TRACES_GIVEN)
    assert [event.task_id for event in events] == [task_uuid(f"t-{n}") for n in (1, 2, 3)]
    is_text = write is as_csv
    kept = [
        {
            "agent": "coder",
            "model": "m-1",
            "environment": "production",
            "tags": '["a"]' if is_text else ["a"],
            "user_id": "ann-7",
            "userId": "ann-7",
        },
        {"model": "m-2"},
        {"model": "m-1"},
    ]
    told = [
        {name: value for name, value in said(event)["metadata"].items() if name in kept[number]}
        for number, event in enumerate(events)
    ]
    assert told == kept
    assert [
        {name: value for name, value in said(event).items() if name != "metadata"}
        for event in events
    ] == [
        {
            "timestamp": "2026-03-01T10:00:00.250000Z",
            "task_type": "answer",
            "repo": "acme/api",
            "model_tier": "m-1",
            "success": True,
            "duration_seconds": 2.5,
            "actual_cost": 0.0125,
        },
        {
            "timestamp": "2026-03-01T11:00:00Z",
            "task_type": "trace",
            "repo": "acme/api",
            "model_tier": "m-2",
            "success": False,
        },
        {
            "timestamp": "2026-03-01T12:00:00Z",
            "task_type": "answer",
            "repo": "acme/api",
            "model_tier": "m-1",
            "success": True,
            "duration_seconds": 1,
        },
    ]
    assert not {"input", "output"} & {key for event in events for key in event.metadata}


OBSERVATIONS = [
    {
        "id": "o-1",
        "traceId": "t-1",
        "projectId": "p-1",
        "type": "GENERATION",
        "startTime": "2026-03-01T10:00:00.000Z",
        "endTime": "2026-03-01T10:00:01.500Z",
        "name": "draft",
        "level": "DEFAULT",
        "statusMessage": None,
        "model": "m-1",
        "latency": 1500,
        "totalCost": 0.5,
        "input": "x",
        "output": "y",
        "userId": "bob",
    },
    {
        "id": "o-2",
        "projectId": "p-1",
        "type": "GENERATION",
        "startTime": "2026-03-01T11:00:00.000Z",
        "endTime": None,
        "level": "ERROR",
        "statusMessage": "rate limit",
        "model": "m-2",
    },
    {
        "id": "o-3",
        "projectId": "p-1",
        "type": "SPAN",
        "startTime": "2026-03-01T11:00:00.000Z",
        "level": "DEFAULT",
    },
]


@pytest.mark.parametrize("write", [lambda rows: json.dumps({"data": rows}), as_csv])
def test_langfuse_observations(ran, home, events_in, write):
    ended = ran(write(OBSERVATIONS), "--from", "langfuse-observations")
    assert (ended.code, ended.out) == (2, "3 rows: 2 recorded, 1 rejected\n")
    first, second, third = events_in(home.spool)
    # A span runs no model.
    assert isinstance(third, InvalidEvent)
    assert "model_tier" in third.reason
    assert [first.task_id, second.task_id] == [task_uuid("o-1"), task_uuid("o-2")]
    assert {name: value for name, value in said(first).items() if name != "metadata"} == {
        "timestamp": "2026-03-01T10:00:00Z",
        "duration_seconds": 1.5,
        "task_type": "draft",
        "repo": "p-1",
        "model_tier": "m-1",
        "success": True,
        "actual_cost": 0.5,
    }
    assert {name: value for name, value in said(second).items() if name != "metadata"} == {
        "timestamp": "2026-03-01T11:00:00Z",
        "task_type": "GENERATION",
        "repo": "p-1",
        "model_tier": "m-2",
        "success": False,
        "error_message": "rate limit",
    }
    assert first.metadata["user_id"] == "bob"
    assert not {"input", "output"} & first.metadata.keys()


# MLflow

MLFLOW = [
    {
        "run_id": "r-1",
        "experiment_id": "7",
        "status": "FINISHED",
        "artifact_uri": "file:///out",
        "start_time": "2026-03-01 10:00:00.250000+00:00",
        "end_time": "2026-03-01 10:01:00+00:00",
        "metrics.accuracy": "0.5",
        "params.model": "m-1",
        "tags.mlflow.user": "ann-7",
        "tags.mlflow.source.name": "train.py",
        "tags.mlflow.source.git.repoURL": "acme/api",
        "tags.mlflow.note.content": "a first try",
    },
    {
        "run_id": "r-2",
        "experiment_id": "7",
        "status": "KILLED",
        "start_time": "2026-03-01 11:00:00+00:00",
        "end_time": "",
        "params.model_name": "m-2",
        "tags.mlflow.source.name": "train.py",
    },
    {
        "run_id": "r-3",
        "experiment_id": "7",
        "status": "FAILED",
        "start_time": "2026-03-01 12:00:00+00:00",
        "end_time": "2026-03-01 12:00:03+00:00",
        "params.model": "m-1",
        "tags.mlflow.source.name": "train.py",
    },
    {
        "run_id": "r-4",
        "experiment_id": "7",
        "status": "RUNNING",
        "start_time": "2026-03-01 12:00:00+00:00",
        "params.model": "m-1",
        "tags.mlflow.source.name": "train.py",
    },
]


def test_mlflow(ran, home, events_in):
    ended = ran(as_csv(MLFLOW), "--from", "mlflow")
    assert (ended.code, ended.out) == (2, "4 rows: 3 recorded, 1 rejected\n")
    *events, running = events_in(home.spool)
    assert isinstance(running, InvalidEvent)
    assert "not over" in running.reason
    assert [event.task_id for event in events] == [task_uuid(f"r-{n}") for n in (1, 2, 3)]
    assert [
        {name: value for name, value in said(event).items() if name != "metadata"}
        for event in events
    ] == [
        {
            "timestamp": "2026-03-01T10:00:00.250000Z",
            "duration_seconds": 59.75,
            "task_type": "experiment 7",
            "repo": "acme/api",
            "model_tier": "m-1",
            "success": True,
            "task_description": "a first try",
        },
        {
            "timestamp": "2026-03-01T11:00:00Z",
            "task_type": "experiment 7",
            "repo": "train.py",
            "model_tier": "m-2",
            "success": False,
        },
        {
            "timestamp": "2026-03-01T12:00:00Z",
            "duration_seconds": 3,
            "task_type": "experiment 7",
            "repo": "train.py",
            "model_tier": "m-1",
            "success": False,
        },
    ]
    assert events[0].metadata["user_id"] == "ann-7"
    assert events[0].metadata["metrics.accuracy"] == "0.5"


# tau-bench


def test_tau_bench(came):
    task = {"user_id": "u", "actions": [], "instruction": "book a flight", "outputs": []}
    rows = [
        {
            "task_id": 0,
            "reward": 1.0,
            "info": {"task": task, "source": "user", "user_cost": 0.01},
            "traj": [{"role": "user", "content": "x" * MAX_LINE_BYTES}],
            "trial": 0,
        },
        {"task_id": 0, "reward": 0.0, "info": {"task": task}, "traj": [], "trial": 1},
        {
            "task_id": 1,
            "reward": 0.0,
            "info": {"error": "no answer", "traceback": "…"},
            "traj": [],
            "trial": 0,
        },
    ]
    events = came(json.dumps(rows, indent=2), "--from", "tau-bench", *GIVEN)
    common = {
        "timestamp": "2026-03-01T10:00:00Z",
        "task_type": "tau-bench",
        "repo": "tau-bench",
        "model_tier": "m-1",
    }
    assert [said(event) for event in events] == [
        {
            **common,
            "task_group": "tau-bench 0",
            "success": True,
            "quality_score": 100,
            "task_description": "book a flight",
            "metadata": {"reward": 1.0, "status": 1.0, "trial": 0},
        },
        {
            **common,
            "task_group": "tau-bench 0",
            "success": False,
            "quality_score": 0,
            "task_description": "book a flight",
            "metadata": {"reward": 0.0, "status": 0.0, "trial": 1},
        },
        {
            **common,
            "task_group": "tau-bench 1",
            "success": False,
            "quality_score": 0,
            "error_message": "no answer",
            "metadata": {"reward": 0.0, "status": 0.0, "trial": 0},
        },
    ]
    assert len({event.task_id for event in events}) == 3


# terminal-bench

TRIALS = [
    {
        "id": "91f52105-e2c9-48ad-bda6-4f79a646f501",
        "trial_name": "hello.1-of-1.run",
        "task_id": "hello",
        "instruction": "say hello",
        "is_resolved": True,
        "failure_mode": "unset",
        "parser_results": {"test_hello": "passed"},
        "total_input_tokens": 10,
        "trial_started_at": "2026-03-01T10:00:00+00:00",
        "trial_ended_at": "2026-03-01T10:10:00+00:00",
        "agent_started_at": "2026-03-01T10:01:00.500000+00:00",
        "agent_ended_at": "2026-03-01T10:06:00+00:00",
    },
    {
        "id": "91f52105-e2c9-48ad-bda6-4f79a646f502",
        "trial_name": "grep.1-of-1.run",
        "task_id": "grep",
        "instruction": "find it",
        "is_resolved": None,
        "failure_mode": "test_timeout",
        "parser_results": None,
        "trial_started_at": "2026-03-01T11:00:00+00:00",
        "trial_ended_at": "2026-03-01T11:00:30+00:00",
        "agent_started_at": None,
        "agent_ended_at": None,
    },
    {
        "id": "91f52105-e2c9-48ad-bda6-4f79a646f503",
        "trial_name": "sed.1-of-1.run",
        "task_id": "sed",
        "instruction": "edit it",
        "is_resolved": False,
        "failure_mode": "none",
        "trial_started_at": "2026-03-01T12:00:00+00:00",
    },
]
TRIALS_SAID = [
    {
        "timestamp": "2026-03-01T10:01:00.500000Z",
        "duration_seconds": 299.5,
        "task_group": "hello",
        "success": True,
        "task_description": "say hello",
    },
    {
        "timestamp": "2026-03-01T11:00:00Z",
        "duration_seconds": 30,
        "task_group": "grep",
        "success": False,
        "error_type": "test_timeout",
        "task_description": "find it",
    },
    {
        "timestamp": "2026-03-01T12:00:00Z",
        "task_group": "sed",
        "success": False,
        "task_description": "edit it",
    },
]


def of_a_run(trials: Sequence[dict[str, Any]]) -> str:
    resolved = [one["task_id"] for one in trials if one["is_resolved"]]
    return json.dumps({"id": "b", "results": trials, "resolved_ids": resolved, "accuracy": 0.3})


@pytest.mark.parametrize(
    ("text", "trials"), [(of_a_run(TRIALS), 3), (json.dumps(TRIALS[0], indent=4), 1)]
)
def test_terminal_bench(came, text, trials):
    events = came(text, "--from", "terminal-bench", "--map", "model_tier='m-1'")
    common = {"task_type": "terminal-bench", "repo": "terminal-bench", "model_tier": "m-1"}
    assert [
        {name: value for name, value in said(event).items() if name != "metadata"}
        for event in events
    ] == [{**common, **fields} for fields in TRIALS_SAID[:trials]]
    assert [event.task_id for event in events] == [UUID(one["id"]) for one in TRIALS[:trials]]
    assert events[0].metadata["parser_results"] == {"test_hello": "passed"}
    assert "instruction" not in events[0].metadata


# The command line wins


def test_a_map_of_the_same_field_replaces_the_presets(came):
    (event, *_) = came(
        of_a_run(TRIALS),
        *("--from", "terminal-bench", "--map", "model_tier='m-1'", "--map", "repo='acme/api'"),
        *("--map", "error_type=failure_mode", "--map", "duration_seconds=total_input_tokens"),
        *("--map", "solution_summary=instruction"),
    )
    assert event.repo == "acme/api"
    assert event.error_type == "unset"
    assert event.duration_seconds == 10
    # What a preset leaves out can be mapped all the same.
    assert event.solution_summary == "say hello"


def test_a_map_that_no_row_has_refuses_the_file_under_a_preset_too(ran):
    ended = ran(of_a_run(TRIALS), "--from", "terminal-bench", "--map", "model_tier=agent")
    assert "no row has agent, which model_tier is mapped to" in ended.err


def test_a_status_word_of_the_command_line_wins(came):
    options = ("--from", "langfuse-traces", *TRACES_GIVEN, "--status-word", "warning=failure")
    assert [event.success for event in came(json.dumps(TRACES), *options)] == [True, False, False]


def test_a_quality_scale_of_the_command_line_wins(came):
    row = {"task_id": 0, "reward": 1, "info": {}, "traj": [], "trial": 0, "points": 64}
    options = ("--from", "tau-bench", *GIVEN, "--map", "quality_score=points")
    (event,) = came(json.dumps([row]), *options, "--quality-scale", "100")
    assert event.quality_score == 64


def test_times_that_a_preset_takes_as_utc_can_be_refused(ran):
    ended = ran(as_lines([OPENHANDS_ROW]), "--from", "openhands", "--no-assume-utc")
    assert "no timestamp has an offset" in ended.err


def test_rows_of_the_command_line_win(came, ran):
    text = json.dumps({"results": [{"a": 1}], "more": TRIALS[:1]})
    options = ("--from", "terminal-bench", "--map", "model_tier='m-1'")
    (event,) = came(text, *options, "--rows", "more")
    assert event.task_group == "hello"
    assert "there is no list none in it" in ran(text, *options, "--rows", "none").err


# What a file lacks


def test_a_path_that_no_row_has_does_not_refuse_the_file(came):
    row = {"run_id": "r", "status": "FINISHED", "start_time": "2026-03-01T10:00:00Z"}
    options = ("--from", "mlflow", "--map", "repo='r'", "--map", "model_tier='m'")
    (event,) = came(as_csv([row]), *options, "--map", "task_type='t'")
    assert said(event) == {
        "timestamp": "2026-03-01T10:00:00Z",
        "task_type": "t",
        "repo": "r",
        "model_tier": "m",
        "success": True,
        "metadata": {
            "task_ref": "r",
            "run_id": "r",
            "start_time": "2026-03-01T10:00:00Z",
            "status": "FINISHED",
        },
    }


def test_a_field_that_every_run_needs_is_asked_for_by_name(ran, home):
    ended = ran(json.dumps(SWE_BENCH), "--from", "swe-bench")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert (
        "preset swe-bench finds in no row timestamp, model_tier; say where to take it from, "
        "--map timestamp=PATH --map model_tier=PATH, or what it is, --map \"model_tier='…'\""
    ) in ended.err
    assert list(home.spool.glob("*")) == []


def test_the_summary_of_swe_bench_is_no_list_of_runs(ran):
    summary = {"total_instances": 2, "resolved_ids": ["a"], "schema_version": 2}
    ended = ran(json.dumps(summary), "--from", "swe-bench", *GIVEN)
    assert ended.code == 2
    assert "preset swe-bench finds in no row success (not at resolved)" in ended.err


# The presets


def test_an_unknown_name_is_told_the_known_ones(ran, home):
    ended = ran("{}", "--from", "swebench")
    assert ended.code == 2
    assert f"there is no preset 'swebench'; presets are {', '.join(PRESETS)}" in ended.err
    assert not home.root.exists() or list(home.spool.glob("*")) == []


def test_the_list_needs_no_file_and_tells_where_each_preset_is_from(monkeypatch, capsys, home):
    command = ["orb-learning", "--home", str(home.root), "import", "--from", "list"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    shown = capsys.readouterr().out
    for preset in PRESETS.values():
        assert f"{preset.name}: {preset.files}\n" in shown
        for source in preset.written_from:
            assert f"  written from {source}\n" in shown
    assert shown.count("  a real export was read: no\n") == sum(
        not preset.tried for preset in PRESETS.values()
    )


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_preset_is_whole(preset):
    FieldMap((), preset)
    mapped = {expression.partition("=")[0] for expression in preset.maps}
    assert set(NEEDED) <= mapped | {*preset.say}
    assert {*preset.say} <= set(NEEDED)
    assert preset.written_from
    for source in preset.written_from:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+( \(a copy\))? [\w./-]+ [0-9a-f]{7}", source)


def row_of(preset: Preset) -> str:
    """Return a preset as the page on importing describes it."""
    sources = "<br>".join(f"`{source}`" for source in preset.written_from)
    say = ", ".join(f"`{name}`" for name in preset.say)
    return f"| `{preset.name}` | {preset.files} | {say} | {sources} | {preset.tried or 'no'} |"


def test_the_page_on_importing_describes_the_presets_as_they_are():
    section = PAGE.read_text().split("## Other tools", 1)[1].split("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]
    assert shown == [row_of(preset) for preset in PRESETS.values()]
