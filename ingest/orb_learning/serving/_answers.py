"""What a recommender answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypedDict

from orb_learning._advice import Advice
from orb_learning.serving._escalation import Plan
from orb_learning.serving._evidence import ArmEvidence
from orb_learning.serving._intervals import cost_interval, share_interval


@dataclass(frozen=True, slots=True)
class Answer(Advice):
    """What both kinds of answers say.

    Attributes:
        model_tier: the (first) arm's tier; None where arms are pools, or without an arm.
        pool_type: its pool; None where arms are tiers, or without an arm.
        probability: how likely this draw was to name that arm; None without one.
        candidates: how likely it was to name each arm that it could have named.
        success: expected share of such tasks that succeed, 0..1; None where it is not known.
        success_low: lower end of where that lies with 95 % certainty; `success_high` the upper.
        cost: expected USD of a task; None where it is not known.
        cost_low: lower end of where that lies with 95 % certainty; `cost_high` the upper.
        reference_arm: what to stay with unless another is credibly better.
        level: what the answer is drawn from: `repo`, `task_type` or `everything`; None without
            evidence.
        abstained: whether too little is known to say more than to stay with the reference.
        reason: why, in one sentence.
        policy_version: the rule and the vars that answered.
        as_of: the day the evidence ends.
    """

    reason: str
    success: float | None
    success_low: float | None
    success_high: float | None
    cost: float | None
    cost_low: float | None
    cost_high: float | None
    model_tier: str | None = None
    pool_type: str | None = None
    probability: float | None = None
    candidates: Mapping[str, float] = field(default_factory=dict)
    reference_arm: str | None = None
    level: str | None = None
    abstained: bool = True
    policy_version: str | None = None
    as_of: date | None = None

    def to_decision(self) -> Mapping[str, Any]:
        """Return the fields of the routing decision that follows the advice."""
        decided = {
            "model_tier": self.model_tier,
            "pool_type": self.pool_type,
            "policy_version": self.policy_version,
            "propensity": self.probability,
            "candidates": dict(self.candidates) or None,
        }
        return {name: value for name, value in decided.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Recommendation(Answer):
    """Which arm to give a task to.

    Attributes:
        arm: its name; None where the host's own rule must decide.
    """

    arm: str | None = None


@dataclass(frozen=True, slots=True)
class EscalationAdvice(Answer):
    """In which order to try arms until one succeeds.

    Attributes:
        arms: their names; empty where the host's own rule must decide.
        expected_attempts: how many are tried on average.
        dependence: how it is known how arms fail together: `measured`, `pooled`, `assumed`; `none`
            of a single arm; None without a plan.
        pair_runs: tries after a failure behind it, of the pair that was seen least.
    """

    arms: tuple[str, ...] = ()
    expected_attempts: float | None = None
    dependence: str | None = None
    pair_runs: int = 0


class Parts(TypedDict):
    """The tier and the pool that an arm names."""

    model_tier: str | None
    pool_type: str | None


class Figures(TypedDict):
    """What an arm or a plan is expected to come to."""

    success: float | None
    success_low: float | None
    success_high: float | None
    cost: float | None
    cost_low: float | None
    cost_high: float | None


NO_FIGURES: Figures = {
    "success": None,
    "success_low": None,
    "success_high": None,
    "cost": None,
    "cost_low": None,
    "cost_high": None,
}


def parts_of(known: ArmEvidence | None, arm: str, kind: str) -> Parts:
    """Return the tier and the pool that an arm names; the macro `arm` says how they are joined."""
    if known:
        return {"model_tier": known.model_tier, "pool_type": known.pool_type}
    if kind == "both":
        tier, _, pool = (part.replace("||", "|") for part in arm.partition(" | "))
        return {"model_tier": tier, "pool_type": pool or None}
    return {
        "model_tier": arm if kind == "model_tier" else None,
        "pool_type": arm if kind == "pool_type" else None,
    }


def figures_of(known: ArmEvidence | Plan | None) -> Figures:
    """Return what an arm or a plan is expected to come to."""
    if known is None:
        return NO_FIGURES
    if isinstance(known, ArmEvidence):
        low, high = known.success_low, known.success_high
        cost_low, cost_high = known.cost_low, known.cost_high
    else:
        low, high = share_interval(known.success, known.success_variance)
        cost_low, cost_high = cost_interval(known.cost, known.cost_variance)
    return {
        "success": known.success,
        "success_low": low,
        "success_high": high,
        "cost": known.cost,
        "cost_low": cost_low,
        "cost_high": cost_high,
    }
