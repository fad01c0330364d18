"""The simulated world: its tiers, its pools, what goes wrong, and its quality policies.

All figures are invented. They are chosen so that the marts have something to find: each tier
copes with tasks up to some difficulty, at a price; some pools are slow; the router's estimates
are too low for the dearest tier.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orb_learning._types import ErrorType, Maturity, Strictness


@dataclass(frozen=True, slots=True)
class Tier:
    """A model tier.

    Attributes:
        ability: the difficulty, 0..100, at which the tier succeeds half of the time.
        usd_per_1k_tokens: what a thousand estimated tokens really cost.
        optimism: true cost over the router's estimate.
        median_seconds: duration of a task of difficulty 50.
        strengths: points of ability gained or lost on a kind of task.
    """

    name: str
    ability: float
    usd_per_1k_tokens: float
    optimism: float
    median_seconds: float
    strengths: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolKind:
    """A worker pool.

    Attributes:
        weight: how readily the router picks it.
        slowness: factor on durations.
        reliability: points of ability gained or lost.
        workers: tasks it runs at a time.
        wait_seconds: mean time until a worker takes a task.
        tiers: names of the tiers it can run.
        opens, closes: when it lives, as shares of the simulated days.
        closing_reason: why it closes, if it does.
        reports_start, reports_completion: which executions' events its workers capture.
        uses_bus: whether the message bus announces the end of its tasks, in the router's place.
        knows_cost: whether anybody bills its executions.
    """

    name: str
    pool_type: str
    weight: float
    slowness: float
    reliability: float
    workers: int
    wait_seconds: float
    tiers: tuple[str, ...] = ("small", "medium", "large", "frontier")
    opens: float = 0.0
    closes: float = 1.0
    closing_reason: str | None = None
    reports_start: bool = True
    reports_completion: bool = True
    uses_bus: bool = False
    knows_cost: bool = True


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A quality policy, set when `at` of the simulated days have passed."""

    repo: str
    at: float
    maturity: Maturity
    coverage_threshold: float
    strictness: Strictness
    reason: str


TIERS = (
    Tier(
        name="small",
        ability=50,
        usd_per_1k_tokens=0.0008,
        optimism=1.0,
        median_seconds=35,
        strengths={"documentation": 8},
    ),
    Tier(
        name="medium",
        ability=64,
        usd_per_1k_tokens=0.004,
        optimism=1.05,
        median_seconds=70,
        strengths={"test_generation": 5},
    ),
    Tier(
        name="large",
        ability=77,
        usd_per_1k_tokens=0.015,
        optimism=1.1,
        median_seconds=130,
        strengths={"code_review": 4},
    ),
    Tier(
        name="frontier",
        ability=93,
        usd_per_1k_tokens=0.04,
        optimism=1.3,
        median_seconds=220,
    ),
)

POOLS = (
    PoolKind(
        name="mahavishnu-1",
        pool_type="mahavishnu",
        weight=4,
        slowness=1.0,
        reliability=1,
        workers=8,
        wait_seconds=3,
    ),
    PoolKind(
        name="session-buddy-1",
        pool_type="session-buddy",
        weight=2.5,
        slowness=1.2,
        reliability=0,
        workers=4,
        wait_seconds=6,
        reports_start=False,
        uses_bus=True,
    ),
    PoolKind(
        name="kubernetes-1",
        pool_type="kubernetes",
        weight=2.5,
        slowness=1.7,
        reliability=2,
        workers=6,
        wait_seconds=25,
        closes=0.6,
        closing_reason="node upgrade",
        reports_completion=False,
    ),
    PoolKind(
        name="kubernetes-2",
        pool_type="kubernetes",
        weight=2.5,
        slowness=1.4,
        reliability=2,
        workers=6,
        wait_seconds=15,
        opens=0.6,
        reports_completion=False,
    ),
    PoolKind(
        name="local-1",
        pool_type="local",
        weight=2,
        slowness=2.4,
        reliability=-5,
        workers=2,
        wait_seconds=2,
        tiers=("small", "medium"),
        knows_cost=False,
    ),
)

ERRORS: dict[str, tuple[float, tuple[str, ...]]] = {
    ErrorType.QUALITY_GATE: (40, ("coverage below the threshold", "3 lint errors remain")),
    ErrorType.VALIDATION: (25, ("patch does not apply", "generated file does not parse")),
    ErrorType.CRASH: (15, ("worker exited with status 137", "unhandled exception in tool call")),
    "merge_conflict": (12, ("main has moved on: conflict in 2 files",)),
}
"""Error types with their weights and messages; a timeout comes from the clock instead."""

POLICY_CHANGES = (
    PolicyChange("payments-api", 0.0, "mature", 0.9, "strict", "initial policy"),
    PolicyChange("web-frontend", 0.0, "stable", 0.75, "standard", "initial policy"),
    PolicyChange("data-pipeline", 0.0, "stable", 0.8, "standard", "initial policy"),
    PolicyChange("mobile-app", 0.0, "new", 0.5, "lenient", "initial policy"),
    PolicyChange("platform-infra", 0.0, "mature", 0.7, "strict", "initial policy"),
    PolicyChange("mobile-app", 0.4, "stable", 0.65, "standard", "first public release"),
    PolicyChange("data-pipeline", 0.7, "stable", 0.85, "strict", "two defects escaped review"),
    PolicyChange("web-frontend", 0.85, "stable", 0.7, "standard", "gate blocked harmless changes"),
)
