"""One event of each kind, with another value in every field, and the rows that it becomes."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning.events import (
    Event,
    ExecutionRecorded,
    Feedback,
    PoolClosed,
    PoolCreated,
    PoolExecutionComplete,
    PoolExecutionStart,
    QualityPolicyAdjusted,
    RoutingDecision,
    RoutingOutcome,
    SolutionExtracted,
    TaskCompleted,
)
from orb_learning.refresh import Refresher

from .warehouse import Warehouse

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def plain(minutes: float) -> datetime:
    return at(minutes).replace(tzinfo=None)


def task(number: int) -> UUID:
    return UUID(int=number)


HOOKED, ANNOUNCED, WHOLE, WAITING, STARTED = (task(number) for number in range(1, 6))

FIRST_LOAD: list[Event] = [
    RoutingDecision(
        task_id=HOOKED,
        occurred_at=at(0),
        captured_at=at(0.25),
        task_type="refactor",
        task_description="split the parser",
        repo="acme/api",
        file_count=3,
        estimated_tokens=1200,
        model_tier="large",
        pool_type="swarm",
        swarm_topology="mesh",
        routing_confidence=0.75,
        complexity_score=70,
        cost_estimate=0.5,
        policy_version="p7",
        propensity=0.25,
        candidates={"small": 0.75, "large": 0.25},
        task_group="bench/1",
        metadata={"branch": "main"},
    ),
    PoolExecutionStart(task_id=HOOKED, occurred_at=at(1), pool_id="pool-1", metadata={"slot": 4}),
    RoutingDecision(
        task_id=WAITING,
        occurred_at=at(30),
        task_type="review",
        repo="acme/docs",
        model_tier="small",
        pool_type="solo",
        cost_estimate=0.125,
        attempt=2,
    ),
    PoolExecutionStart(task_id=WAITING, occurred_at=at(31), pool_id="pool-9", attempt=2),
    PoolExecutionStart(task_id=STARTED, occurred_at=at(33), pool_type="k8s"),
    PoolCreated(pool_id="pool-1", occurred_at=at(-60), pool_type="swarm"),
    PoolClosed(pool_id="pool-1", occurred_at=at(-30), pool_type="swarm", reason="idle"),
    PoolCreated(pool_id="pool-1", occurred_at=at(-20)),
    PoolCreated(pool_id="pool-2", occurred_at=at(-50), pool_type="solo"),
    PoolClosed(pool_id="pool-2", occurred_at=at(-10), reason="out of memory"),
    PoolClosed(pool_id="pool-3", occurred_at=at(-5)),
    SolutionExtracted(
        pattern_id=task(70),
        occurred_at=at(2),
        task_context="flaky test",
        solution_summary="pin the seed",
        success_rate=0.875,
        usage_count=6,
        repos_used_in=["acme/web", "acme/api"],
        embedding=[0.5] * 384,
    ),
    QualityPolicyAdjusted(
        policy_id=task(80),
        occurred_at=at(3),
        repo="acme/web",
        project_maturity="stable",
        coverage_threshold=0.625,
        strictness_level="strict",
        adjustment_reason="two incidents",
    ),
]

SECOND_LOAD: list[Event] = [
    PoolExecutionComplete(
        task_id=HOOKED,
        occurred_at=at(2),
        success=True,
        duration_seconds=55,
        duration_source="measured",
        quality_score=61,
        actual_cost=9,
        error_type="timeout",
        pool_id="pool-1",
        pool_type="swarm",
        swarm_topology="star",
        metadata={"branch": "dev", "exit": 3},
    ),
    RoutingOutcome(
        task_id=HOOKED,
        occurred_at=at(3),
        success=False,
        quality_score=62,
        cost_estimate=0.375,
        actual_cost=1.5,
        error_message="ran out of time",
        peak_memory_mb=512.5,
        cpu_time_seconds=12.25,
        solution_summary="cache it",
    ),
    Feedback(
        feedback_id=task(60),
        task_id=HOOKED,
        occurred_at=at(5),
        feedback_type="rejected",
        rating=2,
        comment="too slow",
        user_id="ada",
    ),
    TaskCompleted(
        task_id=ANNOUNCED, occurred_at=at(10), success=True, duration_seconds=30, pool_type="k8s"
    ),
    ExecutionRecorded(
        task_id=WHOLE,
        timestamp=at(20),
        occurred_at=at(21),
        task_type="docs",
        task_description="write the manual",
        repo="acme/web",
        file_count=5,
        estimated_tokens=800,
        model_tier="medium",
        pool_type="solo",
        swarm_topology="line",
        routing_confidence=0.625,
        complexity_score=20,
        success=True,
        duration_seconds=44.5,
        quality_score=93,
        cost_estimate=0.75,
        actual_cost=0.25,
        error_type="validation",
        error_message="one link was dead",
        user_accepted=True,
        user_rating=5,
        peak_memory_mb=128.5,
        cpu_time_seconds=8.5,
        solution_summary="template it",
        policy_version="p8",
        propensity=0.5,
        candidates={"medium": 0.5, "small": 0.5},
        task_group="bench/2",
        metadata={"reviewer": "bob"},
        attempt=3,
    ),
]


def text_hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def later(number: int, attempt: int) -> UUID:
    return UUID(text_hash(f"{task(number)}/attempt/{attempt}"))


EXECUTIONS: dict[UUID, dict[str, Any]] = {
    HOOKED: {
        "task_id": HOOKED,
        "timestamp": plain(0),
        "task_type": "refactor",
        "task_description": "split the parser",
        "repo": "acme/api",
        "file_count": 3,
        "estimated_tokens": 1200,
        "model_tier": "large",
        "pool_type": "swarm",
        "swarm_topology": "star",
        "routing_confidence": 0.75,
        "complexity_score": 70,
        "success": False,
        "duration_seconds": 55.0,
        "known_duration_seconds": 55.0,
        "duration_source": "measured",
        "quality_score": 62,
        "cost_estimate": 0.375,
        "actual_cost": 1.5,
        "known_cost": 1.5,
        "error_type": "timeout",
        "error_message": "ran out of time",
        "user_accepted": False,
        "user_rating": 2,
        "peak_memory_mb": 512.5,
        "cpu_time_seconds": 12.25,
        "solution_summary": "cache it",
        "metadata": {"branch": "dev", "slot": 4, "exit": 3},
        "cost_source": "reported",
        "policy_version": "p7",
        "propensity": 0.25,
        "candidates": {"small": 0.75, "large": 0.25},
        "task_group": "bench/1",
        "defaulted": [],
        "parent_task_id": None,
        "attempt": 1,
        "attempt_is_ambiguous": False,
        "content_hash": text_hash(
            "type: refactor | task: split the parser | repo: acme/api | tier: large | pool: swarm"
            " | topology: star | success: false | solution: cache it"
        ),
        "load_id": 2,
        "date": date(2026, 6, 15),
    },
    ANNOUNCED: {
        "task_id": ANNOUNCED,
        "timestamp": plain(9.5),
        "task_type": "unknown",
        "task_description": "",
        "repo": "unknown",
        "file_count": 0,
        "estimated_tokens": 0,
        "model_tier": "unknown",
        "pool_type": "k8s",
        "swarm_topology": None,
        "routing_confidence": 0.5,
        "complexity_score": 50,
        "success": True,
        "duration_seconds": 30.0,
        "known_duration_seconds": 30.0,
        "duration_source": "reported",
        "quality_score": None,
        "cost_estimate": 0.0,
        "actual_cost": 0.0,
        "known_cost": None,
        "error_type": None,
        "error_message": None,
        "user_accepted": None,
        "user_rating": None,
        "peak_memory_mb": None,
        "cpu_time_seconds": None,
        "solution_summary": None,
        "metadata": {},
        "cost_source": "unknown",
        "policy_version": None,
        "propensity": None,
        "candidates": None,
        "task_group": None,
        "defaulted": [
            "task_type",
            "task_description",
            "repo",
            "file_count",
            "estimated_tokens",
            "model_tier",
            "routing_confidence",
            "complexity_score",
            "cost_estimate",
            "actual_cost",
        ],
        "parent_task_id": None,
        "attempt": 1,
        "attempt_is_ambiguous": False,
        "content_hash": text_hash(
            "type: unknown | task:  | repo: unknown | tier: unknown | pool: k8s | success: true"
        ),
        "load_id": 2,
        "date": date(2026, 6, 15),
    },
    WHOLE: {
        "task_id": later(3, 3),
        "timestamp": plain(20),
        "task_type": "docs",
        "task_description": "write the manual",
        "repo": "acme/web",
        "file_count": 5,
        "estimated_tokens": 800,
        "model_tier": "medium",
        "pool_type": "solo",
        "swarm_topology": "line",
        "routing_confidence": 0.625,
        "complexity_score": 20,
        "success": True,
        "duration_seconds": 44.5,
        "known_duration_seconds": 44.5,
        "duration_source": "reported",
        "quality_score": 93,
        "cost_estimate": 0.75,
        "actual_cost": 0.25,
        "known_cost": 0.25,
        "error_type": "validation",
        "error_message": "one link was dead",
        "user_accepted": True,
        "user_rating": 5,
        "peak_memory_mb": 128.5,
        "cpu_time_seconds": 8.5,
        "solution_summary": "template it",
        "metadata": {"reviewer": "bob"},
        "cost_source": "reported",
        "policy_version": "p8",
        "propensity": 0.5,
        "candidates": {"medium": 0.5, "small": 0.5},
        "task_group": "bench/2",
        "defaulted": [],
        "parent_task_id": WHOLE,
        "attempt": 3,
        "attempt_is_ambiguous": False,
        "content_hash": text_hash(
            "type: docs | task: write the manual | repo: acme/web | tier: medium | pool: solo"
            " | topology: line | success: true | solution: template it"
        ),
        "load_id": 2,
        "date": date(2026, 6, 15),
    },
}

TABLES: dict[str, list[dict[str, Any]]] = {
    "pending_executions": [
        {
            "task_id": later(4, 2),
            "parent_task_id": WAITING,
            "attempt": 2,
            "timestamp": plain(30),
            "started_at": plain(31),
            "task_type": "review",
            "repo": "acme/docs",
            "model_tier": "small",
            "pool_type": "solo",
            "cost_estimate": 0.125,
            "load_id": 1,
        },
        {
            "task_id": STARTED,
            "parent_task_id": None,
            "attempt": 1,
            "timestamp": plain(33),
            "started_at": plain(33),
            "task_type": "unknown",
            "repo": "unknown",
            "model_tier": "unknown",
            "pool_type": "k8s",
            "cost_estimate": None,
            "load_id": 1,
        },
    ],
    "tasks": [
        {
            "task_id": HOOKED,
            "attempts": 1,
            "success": False,
            "total_cost": 1.5,
            "total_duration_seconds": 55.0,
            "tiers_tried": ["large"],
            "final_tier": "large",
            "task_type": "refactor",
            "repo": "acme/api",
            "first_routed_at": plain(0),
            "last_routed_at": plain(0),
            "load_id": 2,
        },
        {
            "task_id": ANNOUNCED,
            "attempts": 1,
            "success": True,
            "total_cost": None,
            "total_duration_seconds": 30.0,
            "tiers_tried": ["unknown"],
            "final_tier": "unknown",
            "task_type": "unknown",
            "repo": "unknown",
            "first_routed_at": plain(9.5),
            "last_routed_at": plain(9.5),
            "load_id": 2,
        },
        {
            "task_id": WHOLE,
            "attempts": 1,
            "success": True,
            "total_cost": 0.25,
            "total_duration_seconds": 44.5,
            "tiers_tried": ["medium"],
            "final_tier": "medium",
            "task_type": "docs",
            "repo": "acme/web",
            "first_routed_at": plain(20),
            "last_routed_at": plain(20),
            "load_id": 2,
        },
    ],
    "feedback": [
        {
            "feedback_id": task(60),
            "task_id": HOOKED,
            "timestamp": plain(5),
            "feedback_type": "rejected",
            "rating": 2,
            "comment": "too slow",
            "user_id": "ada",
            "load_id": 2,
        }
    ],
    "pools": [
        {
            "pool_id": "pool-1",
            "pool_type": "swarm",
            "created_at": plain(-20),
            "closed_at": None,
            "close_reason": None,
            "is_open": True,
        },
        {
            "pool_id": "pool-2",
            "pool_type": "solo",
            "created_at": plain(-50),
            "closed_at": plain(-10),
            "close_reason": "out of memory",
            "is_open": False,
        },
        {
            "pool_id": "pool-3",
            "pool_type": "unknown",
            "created_at": None,
            "closed_at": plain(-5),
            "close_reason": None,
            "is_open": False,
        },
    ],
    "solutions": [
        {
            "pattern_id": task(70),
            "extracted_at": plain(2),
            "task_context": "flaky test",
            "solution_summary": "pin the seed",
            "success_rate": 0.875,
            "usage_count": 6,
            "repos_used_in": ["acme/web", "acme/api"],
            "embedding": (0.5,) * 384,
        }
    ],
    "quality_policies": [
        {
            "policy_id": task(80),
            "repo": "acme/web",
            "project_maturity": "stable",
            "coverage_threshold": 0.625,
            "strictness_level": "strict",
            "last_adjusted": plain(3),
            "adjustment_reason": "two incidents",
        }
    ],
    "solution_patterns": [
        {
            "solution_summary": summary,
            "repo": repo,
            "task_types": [kind],
            "usage_count": 1,
            "success_count": good,
            "avg_quality": score,
            "first_seen": plain(minutes),
            "last_seen": plain(minutes),
            "success_rate": float(good),
        }
        for summary, repo, kind, good, score, minutes in (
            ("cache it", "acme/api", "refactor", 0, 62.0, 0),
            ("template it", "acme/web", "docs", 1, 93.0, 20),
        )
    ],
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Path:
    warehouse = Warehouse(tmp_path_factory.mktemp("columns") / "home", parsed)
    warehouse.write(FIRST_LOAD)
    warehouse.run(pattern_min_uses=1)
    warehouse.write(SECOND_LOAD)
    warehouse.run(pattern_min_uses=1)
    return warehouse.home.root


def rows_of(home: Path, table: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(home / "learning.db"), read_only=True) as copy:
        result = copy.execute(f"select * from {table} order by all")
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@pytest.mark.parametrize("about", EXECUTIONS, ids=["hooked", "announced", "whole"])
def test_an_execution_holds_what_its_events_said(published, about):
    (row,) = [
        row
        for row in rows_of(published, "executions")
        if about in (row["task_id"], row["parent_task_id"])
    ]
    with duckdb.connect(str(published / "staging.duckdb"), read_only=True) as staging:
        loads = staging.execute("select load_id, loaded_at from ledger.loads").fetchall()
    assert row.pop("uploaded_at") == dict(loads)[2]
    for name in ("metadata", "candidates"):
        row[name] = row[name] and json.loads(row[name])
    assert row == EXECUTIONS[about]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_holds_what_its_events_said(published, table):
    found = rows_of(published, table)
    assert len(found) == len(TABLES[table])
    for row in TABLES[table]:
        assert row in found


AVERAGES = {
    "avg_duration": 44.5,
    "timed": 1,
    "total_duration_seconds": 44.5,
    "avg_cost": 0.25,
    "costed": 1,
    "total_cost": 0.25,
    "scored": 1,
    "total_quality": 93,
    "success_rate": 1.0,
    "date": date(2026, 6, 15),
    "repo": "acme/web",
}
MARTS: dict[str, dict[str, Any]] = {
    "tier_performance": {
        **AVERAGES,
        "model_tier": "medium",
        "task_type": "docs",
        "total_executions": 1,
        "successful_count": 1,
        "avg_quality": 93.0,
        "p95_duration": 44.5,
    },
    "pool_performance": {
        **AVERAGES,
        "pool_type": "solo",
        "hour": plain(0),
        "total_tasks": 1,
        "successful_tasks": 1,
    },
    "quality_trend": {
        **{name: value for name, value in AVERAGES.items() if name != "avg_duration"},
        "executions": 1,
        "successful": 1,
        "avg_quality": 93.0,
    },
}


@pytest.mark.parametrize("mart", MARTS)
def test_a_mart_holds_the_figures_of_its_executions(published, mart):
    (row,) = [row for row in rows_of(published, mart) if row["repo"] == "acme/web"]
    assert isinstance(row.pop("day_fingerprint"), int)
    assert row == MARTS[mart]
