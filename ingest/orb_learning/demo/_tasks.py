"""The tasks that arrive, and how an attempt at one turns out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from random import Random
from uuid import UUID, uuid5

from orb_learning._types import ErrorType
from orb_learning.demo._catalogue import REPOSITORIES, TASK_TYPES, TOPOLOGIES, TaskType
from orb_learning.demo._clock import Timeline, around, chance
from orb_learning.demo._world import ERRORS, PoolKind, Tier

TIME_LIMIT_SECONDS = 1800.0

_TYPE_WEIGHTS = [task_type.weight for task_type in TASK_TYPES]
_REPOSITORY_WEIGHTS = [repository.weight for repository in REPOSITORIES]
_ERROR_TYPES = list(ERRORS)
_ERROR_WEIGHTS = [weight for weight, _ in ERRORS.values()]
_ABILITY_SCALE = 9.0
_BEST_CHANCE = 0.98


class Spelling(Enum):
    """How a task's orchestrator hands events to the hooks."""

    MAPPING = "mapping"
    KEYWORDS = "keywords"
    TYPED = "typed"


@dataclass(frozen=True, slots=True)
class Task:
    """One task; all that happens to it is drawn from its own `rng`.

    Attributes:
        complexity: 0..100, as far as the router can see.
        difficulty: what the task really asks, on the scale of `Tier.ability`.
        solution_effect: points of ability that its solution gains or loses.
        states_attempts: whether its events say which attempt they belong to.
        is_recorded_whole: whether it is recorded only once it has ended, all at once.
    """

    rng: Random
    task_id: UUID
    routed_at: datetime
    task_type: TaskType
    repo: str
    description: str
    complexity: int
    difficulty: float
    estimated_tokens: int
    file_count: int
    topology: str | None
    solution: str
    solution_effect: float
    spelling: Spelling
    states_attempts: bool
    is_recorded_whole: bool

    def new_id(self, name: str) -> UUID:
        """Return the id of one of the task's events."""
        return uuid5(self.task_id, name)


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt turned out; `solution_summary` is also known of some that failed."""

    success: bool
    duration_seconds: float
    quality_score: int | None
    actual_cost: float | None
    error_type: str | None
    error_message: str | None
    peak_memory_mb: float
    cpu_time_seconds: float
    solution_summary: str | None


def draw_task(seed: int, index: int, timeline: Timeline) -> Task:
    """Return the task with this index; it depends on nothing else that is simulated."""
    rng = chance(seed, index)
    routed_at = timeline.arrival(index, rng)
    task_type = rng.choices(TASK_TYPES, _TYPE_WEIGHTS)[0]
    repository = rng.choices(REPOSITORIES, _REPOSITORY_WEIGHTS)[0]
    complexity = min(100, max(1, round(rng.gauss(task_type.difficulty, 15))))
    scale = 0.5 + complexity / 100
    # Squaring makes the first solutions the common ones.
    solution = int(len(task_type.solutions) * rng.random() ** 2)
    return Task(
        rng=rng,
        task_id=timeline.new_id(f"task/{index}"),
        routed_at=routed_at,
        task_type=task_type,
        repo=repository.name,
        description=rng.choice(task_type.phrasings).format(rng.choice(repository.areas)),
        complexity=complexity,
        difficulty=rng.gauss(complexity, 6),
        estimated_tokens=round(around(rng, task_type.median_tokens * scale, 0.4)),
        file_count=round(around(rng, 1 + complexity / 12, 0.6)),
        topology=rng.choice(TOPOLOGIES) if rng.random() < complexity / 400 else None,
        solution=task_type.solutions[solution],
        solution_effect=((solution * 2 + 3) % 5 - 2) * 3.0,
        spelling=rng.choice(list(Spelling)),
        states_attempts=rng.random() < 0.6,
        is_recorded_whole=rng.random() < 0.02,
    )


def success_chance(tier: Tier, task_type: str, difficulty: float, help_points: float = 0) -> float:
    """Return how likely a tier is to solve a task: logistic in ability less difficulty."""
    margin = tier.ability + tier.strengths.get(task_type, 0.0) + help_points - difficulty
    return _BEST_CHANCE / (1 + math.exp(-margin / _ABILITY_SCALE))


def draw_result(task: Task, attempt: int, tier: Tier, pool: PoolKind) -> Result:
    """Return how an attempt at a task turns out on a tier and a pool."""
    rng = task.rng
    # A retry knows the message of the failure before it.
    help_points = task.solution_effect + pool.reliability + 3.0 * (attempt - 1)
    chance_of_success = success_chance(tier, task.task_type.name, task.difficulty, help_points)
    success = rng.random() < chance_of_success
    median = tier.median_seconds * pool.slowness * (0.5 + task.complexity / 100)
    duration = around(rng, median, 0.5 if success else 0.8)
    error_type: str | None = None
    error_message: str | None = None
    if duration >= TIME_LIMIT_SECONDS or (not success and rng.random() < 0.12):
        success, duration = False, TIME_LIMIT_SECONDS
        error_type = ErrorType.TIMEOUT.value
        error_message = f"no result after {TIME_LIMIT_SECONDS:g} s"
    elif not success:
        error_type = rng.choices(_ERROR_TYPES, _ERROR_WEIGHTS)[0]
        error_message = rng.choice(ERRORS[error_type][1])
    return Result(
        success=success,
        duration_seconds=round(duration, 3),
        quality_score=_draw_quality(rng, chance_of_success, error_type),
        actual_cost=_draw_cost(task, tier) if pool.knows_cost else None,
        error_type=error_type,
        error_message=error_message,
        peak_memory_mb=round(around(rng, 300 + 8 * task.file_count, 0.3), 1),
        cpu_time_seconds=round(duration * rng.uniform(0.05, 0.3), 3),
        solution_summary=task.solution if rng.random() < (0.9 if success else 0.5) else None,
    )


def _draw_quality(rng: Random, chance_of_success: float, error_type: str | None) -> int | None:
    if error_type in (ErrorType.TIMEOUT, ErrorType.CRASH):
        return None
    mean = 68 + 24 * chance_of_success if error_type is None else 30 + 20 * chance_of_success
    return min(100, max(0, round(rng.gauss(mean, 7))))


def _draw_cost(task: Task, tier: Tier) -> float:
    cost = tier.usd_per_1k_tokens * task.estimated_tokens / 1000
    return round(around(task.rng, cost, 0.3), 6)
