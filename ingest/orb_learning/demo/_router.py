"""The router: which tier and which pool get an attempt, and how likely that choice was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

from orb_learning.demo._clock import Timeline, around
from orb_learning.demo._learning import Advised
from orb_learning.demo._tasks import Task, success_chance
from orb_learning.demo._world import TIERS, PoolKind, Tier


@dataclass(frozen=True, slots=True)
class Routing:
    """The router's answer, in the spelling of a host that knows nothing of the events."""

    tier: str
    pool: str
    topology: str | None
    confidence: float
    complexity: int
    estimated_cost: float | None
    policy_version: str = ""
    propensity: float = 1.0
    candidates: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Policy:
    """An epsilon-greedy policy.

    Attributes:
        since: the share of the simulated days after which it is in force.
        epsilon: how often it explores, uniformly.
        usd_per_success: what it holds a solved task to be worth.
        knows_strengths: whether it tells the kinds of task apart.
    """

    version: str
    since: float
    epsilon: float
    usd_per_success: float
    knows_strengths: bool


_POLICIES = (
    _Policy("epsilon-greedy-2", 0.5, 0.12, 2.4, True),
    _Policy("epsilon-greedy-1", 0.0, 0.24, 1.3, False),
)


class ModelRouter:
    """Chooses by expected value less expected cost, and explores now and then."""

    def __init__(self, pools: Sequence[PoolKind], timeline: Timeline) -> None:
        """Make a router over these pools."""
        self._pools = pools
        self._timeline = timeline

    def route_task(
        self, task: Task, at: datetime, failed_on: Tier | None = None
    ) -> tuple[Routing, Tier, PoolKind]:
        """Return the routing of one attempt; after a failure only higher tiers are considered."""
        share = self._timeline.share_passed(at)
        policy = next(policy for policy in _POLICIES if policy.since <= share)
        tiers = TIERS[min(TIERS.index(failed_on) + 1, len(TIERS) - 1) :] if failed_on else TIERS
        candidates = _probabilities(policy, tiers, task)
        tier = task.rng.choices(tiers, list(candidates.values()))[0]
        routing, pool = self._route(task, tier, share, policy.knows_strengths)
        return (
            replace(
                routing,
                policy_version=policy.version,
                propensity=candidates[tier.name],
                candidates=candidates,
            ),
            tier,
            pool,
        )

    def follow(
        self, task: Task, at: datetime, advised: Advised, attempt: int
    ) -> tuple[Routing, Tier, PoolKind]:
        """Return the routing of one attempt as the recommender has it."""
        name = advised.tiers[attempt - 1]
        (tier,) = (tier for tier in TIERS if tier.name == name)
        routing, pool = self._route(task, tier, self._timeline.share_passed(at), True)
        candidates = advised.candidates if attempt == 1 else {name: 1.0}
        return (
            replace(
                routing,
                policy_version=advised.policy_version,
                propensity=candidates[name],
                candidates=candidates,
            ),
            tier,
            pool,
        )

    def _route(
        self, task: Task, tier: Tier, share: float, knows_strengths: bool
    ) -> tuple[Routing, PoolKind]:
        """Return what is routed to a tier, but for why, and the pool that gets it."""
        pool = self._choose_pool(task, tier, share)
        expected_cost = _expected_cost(task, tier)
        # Where nobody bills the runs, an estimate is rare too.
        has_estimate = task.rng.random() < (0.96 if pool.knows_cost else 0.5)
        routing = Routing(
            tier=tier.name,
            pool=pool.pool_type,
            topology=task.topology,
            confidence=round(_expected_success(knows_strengths, task, tier), 3),
            complexity=task.complexity,
            estimated_cost=_blurred(task.rng, expected_cost) if has_estimate else None,
        )
        return routing, pool

    def _choose_pool(self, task: Task, tier: Tier, share: float) -> PoolKind:
        pools = [
            pool
            for pool in self._pools
            if pool.opens <= share < pool.closes and tier.name in pool.tiers
        ]
        return task.rng.choices(pools, [pool.weight for pool in pools])[0]


def _probabilities(policy: _Policy, tiers: Sequence[Tier], task: Task) -> dict[str, float]:
    def value(tier: Tier) -> float:
        worth = policy.usd_per_success * _expected_success(policy.knows_strengths, task, tier)
        return worth - _expected_cost(task, tier)

    best = max(tiers, key=value)
    explored = policy.epsilon / len(tiers)
    return {
        tier.name: 1 - policy.epsilon + explored if tier is best else explored for tier in tiers
    }


def _expected_success(knows_strengths: bool, task: Task, tier: Tier) -> float:
    task_type = task.task_type.name if knows_strengths else ""
    return success_chance(tier, task_type, task.complexity)


def _expected_cost(task: Task, tier: Tier) -> float:
    return tier.usd_per_1k_tokens / tier.optimism * task.estimated_tokens / 1000


def _blurred(rng: Random, cost: float) -> float:
    return round(around(rng, cost, 0.15), 6)
