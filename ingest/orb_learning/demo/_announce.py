"""What the orchestrator's parts tell the hooks, in every spelling that hosts use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

from orb_learning._telemetry import Telemetry
from orb_learning.demo._outbox import HookCall, Outbox
from orb_learning.demo._router import Routing
from orb_learning.demo._tasks import Result, Spelling, Task
from orb_learning.demo._world import PoolKind
from orb_learning.events import (
    Event,
    PoolExecutionComplete,
    PoolExecutionStart,
    RoutingDecision,
    RoutingOutcome,
    TaskCompleted,
    TaskEvent,
)
from orb_learning.records import ExecutionRecord

_Hook = Callable[..., Awaitable[Event | None]]


class Announcer:
    """Announces what happens to a task.

    Every method sends one event and tells whether it occurs within the simulated time.
    """

    def __init__(self, telemetry: Telemetry, outbox: Outbox) -> None:
        """Make an announcer that calls the hooks of `telemetry` by way of `outbox`."""
        self._telemetry = telemetry
        self._outbox = outbox

    async def decision(self, task: Task, attempt: int, routing: Routing, at: datetime) -> bool:
        """Announce that the router decided."""
        hook = self._telemetry.capture_routing_decision
        identity = _identity(task, attempt, "decision")
        if task.spelling is Spelling.MAPPING:
            mapping = {
                "task_id": str(task.task_id),
                "routing": routing,
                "timestamp": at,
                "task_data": {
                    "type": task.task_type.name,
                    "description": task.description,
                    "repository": task.repo,
                    "file_count": task.file_count,
                    "estimated_tokens": task.estimated_tokens,
                    "branch": f"agent/{task.task_id.hex[:8]}",
                },
            }
            return await self._outbox.send(partial(hook, mapping, **identity), at, task.rng)
        values = identity | _routed(task, routing) | {"task_id": task.task_id, "occurred_at": at}
        call = _spelled(task, hook, RoutingDecision, values)
        return await self._outbox.send(call, at, task.rng)

    async def outcome(self, task: Task, attempt: int, result: Result, at: datetime) -> bool:
        """Announce that the router learned how an attempt ended."""
        hook = self._telemetry.capture_routing_outcome
        identity = _identity(task, attempt, "outcome")
        if task.spelling is Spelling.MAPPING:
            mapping = {
                "task_id": str(task.task_id),
                "timestamp": at,
                "status": "completed" if result.success else "failed",
                "duration": result.duration_seconds,
                "quality": result.quality_score,
                "cost": result.actual_cost,
                "error_type": result.error_type,
                "error": result.error_message,
                "solution_summary": result.solution_summary,
            }
            return await self._outbox.send(partial(hook, mapping, **identity), at, task.rng)
        values = identity | _ended(result) | {"task_id": task.task_id, "occurred_at": at}
        call = _spelled(task, hook, RoutingOutcome, values)
        return await self._outbox.send(call, at, task.rng)

    async def start(self, task: Task, attempt: int, pool: PoolKind, at: datetime) -> bool:
        """Announce that a pool began to work."""
        values = _identity(task, attempt, "start") | _in_pool(pool)
        values |= {"task_id": task.task_id, "occurred_at": at, "swarm_topology": task.topology}
        hook = self._telemetry.capture_pool_execution_start
        call = _spelled(task, hook, PoolExecutionStart, values)
        return await self._outbox.send(call, at, task.rng)

    async def completion(
        self, task: Task, attempt: int, pool: PoolKind, result: Result, at: datetime
    ) -> bool:
        """Announce that a pool ended its work; only the pool knows what the work consumed."""
        values = _identity(task, attempt, "completion") | _in_pool(pool) | _ended(result)
        values |= _consumed(result)
        values |= {"task_id": task.task_id, "occurred_at": at, "swarm_topology": task.topology}
        hook = self._telemetry.capture_pool_execution_complete
        call = _spelled(task, hook, PoolExecutionComplete, values)
        return await self._outbox.send(call, at, task.rng)

    async def bus_message(
        self, task: Task, attempt: int, pool: PoolKind, result: Result, at: datetime
    ) -> bool:
        """Announce on the message bus that a task ended."""
        values = _identity(task, attempt, "bus") | _in_pool(pool) | _ended(result)
        event = TaskCompleted(task_id=task.task_id, occurred_at=at, **values)
        return await self._outbox.send(partial(self._telemetry.capture, event), at, task.rng)

    async def whole_execution(
        self, task: Task, routing: Routing, result: Result, at: datetime
    ) -> bool:
        """Announce a finished execution all at once: a record if its costs are known."""
        values = _routed(task, routing) | _ended(result) | _consumed(result)
        values |= {"task_id": task.task_id, "timestamp": task.routed_at}
        costs_are_known = result.actual_cost is not None and routing.estimated_cost is not None
        execution = ExecutionRecord(**values) if costs_are_known else values
        hook = self._telemetry.record_execution
        identity = {"event_id": task.new_id("execution"), "occurred_at": at}
        return await self._outbox.send(partial(hook, execution, **identity), at, task.rng)


def _spelled(task: Task, hook: _Hook, cls: type[TaskEvent], values: dict[str, Any]) -> HookCall:
    if task.spelling is Spelling.TYPED:
        return partial(hook, cls(**values))
    return partial(hook, **values)


def _identity(task: Task, attempt: int, kind: str) -> dict[str, Any]:
    return {
        "event_id": task.new_id(f"{kind}/{attempt}"),
        "attempt": attempt if task.states_attempts else None,
    }


def _routed(task: Task, routing: Routing) -> dict[str, Any]:
    return {
        "task_type": task.task_type.name,
        "task_description": task.description,
        "repo": task.repo,
        "file_count": task.file_count,
        "estimated_tokens": task.estimated_tokens,
        "model_tier": routing.tier,
        "pool_type": routing.pool,
        "swarm_topology": routing.topology,
        "routing_confidence": routing.confidence,
        "complexity_score": routing.complexity,
        "cost_estimate": routing.estimated_cost,
        "policy_version": routing.policy_version,
        "propensity": routing.propensity,
        "candidates": routing.candidates,
    }


def _ended(result: Result) -> dict[str, Any]:
    return {
        "success": result.success,
        "duration_seconds": result.duration_seconds,
        "quality_score": result.quality_score,
        "actual_cost": result.actual_cost,
        "error_type": result.error_type,
        "error_message": result.error_message,
        "solution_summary": result.solution_summary,
    }


def _consumed(result: Result) -> dict[str, Any]:
    return {
        "peak_memory_mb": result.peak_memory_mb,
        "cpu_time_seconds": result.cpu_time_seconds,
    }


def _in_pool(pool: PoolKind) -> dict[str, Any]:
    return {"pool_id": pool.name, "pool_type": pool.pool_type}
