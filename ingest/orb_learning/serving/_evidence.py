"""What a publication knows of the arms, in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

Cell = tuple[str | None, str | None]
"""A repository and a task type; None where the level is above it."""


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """What is known of one arm in one cell: everything, a task type, or one in one repository.

    Attributes:
        arm: its name.
        model_tier: its tier; None where arms are pools.
        pool_type: its pool; None where arms are tiers.
        first_tries: first attempts of tasks in the window.
        costed: runs whose cost was reported.
        is_comparable: whether enough is known of it to recommend it.
        success: expected share of first attempts that succeed, 0..1.
        success_low: lower end of where that lies with 95 % certainty; `success_high` the upper.
        success_variance: its variance.
        cost: expected USD of a run; None where no arm has reported costs.
        cost_low: lower end of where that lies with 95 % certainty; `cost_high` the upper.
        cost_variance: its variance.
        effective_tries: first attempts, each weighted by its age.
    """

    arm: str
    model_tier: str | None
    pool_type: str | None
    first_tries: int
    costed: int
    is_comparable: bool
    success: float
    success_low: float
    success_high: float
    success_variance: float
    cost: float | None
    cost_low: float | None
    cost_high: float | None
    cost_variance: float | None
    effective_tries: float


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """How an arm does after another has failed.

    Attributes:
        runs: tries after the failure that were seen.
        effective_tries: the same, each weighted by its age.
        dependence: how it is known: `measured`, `pooled` over all pairs, or `assumed`.
        log_odds_drop: how much less likely it succeeds than without the failure, in log odds.
        cost_factor: how many times what it costs without.
    """

    runs: int
    effective_tries: float
    dependence: str
    log_odds_drop: float
    cost_factor: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one publication knows of the arms.

    Attributes:
        arms: by cell; the order of a cell's arms is that of their names.
        pairs: by task type, None for all together; then by the arm that failed and the next one.
        arm_kind: what an arm is: `model_tier`, `pool_type` or `both`.
        as_of: the day its window ends.
        success_value_usd: what a success is worth where the asker does not say.
        rules: the vars behind it, as they are recorded with a decision.
    """

    arms: dict[Cell, tuple[ArmEvidence, ...]]
    pairs: dict[str | None, dict[tuple[str, str], PairEvidence]]
    arm_kind: str = "model_tier"
    as_of: date | None = None
    success_value_usd: float = 0.0
    rules: str = ""

    @property
    def task_types(self) -> list[str]:
        """The task types that anything is known of."""
        return [kind for repo, kind in self.arms if repo is None and kind is not None]


NOTHING = Evidence({}, {})


def read_evidence(cursor: duckdb.DuckDBPyConnection) -> Evidence:
    """Read the evidence of the publication that is attached as `learning`.

    One of an earlier release has none.
    """
    (present,) = cursor.execute(
        "select count(*) from duckdb_tables() where database_name = 'learning'"
        " and table_name in ('arm_evidence', 'arm_pair_evidence', 'routing_recommendations')"
    ).fetchall()[0]
    if present < 3:
        return NOTHING
    columns = ", ".join(ArmEvidence.__slots__)
    cells: dict[Cell, list[ArmEvidence]] = defaultdict(list)
    for repo, task_type, *values in cursor.execute(
        f"select repo, task_type, {columns} from learning.arm_evidence order by arm"
    ).fetchall():
        cells[repo, task_type].append(ArmEvidence(*values))
    columns = ", ".join(PairEvidence.__slots__)
    pairs: dict[str | None, dict[tuple[str, str], PairEvidence]] = defaultdict(dict)
    for task_type, failed, following, *values in cursor.execute(
        f"select task_type, failed_arm, next_arm, {columns} from learning.arm_pair_evidence"
    ).fetchall():
        pairs[task_type][failed, following] = PairEvidence(*values)
    rules = cursor.execute(
        "select arm_kind, as_of, success_value_usd, policy_version"
        " from learning.routing_recommendations where level = 'everything'"
    ).fetchall()
    if not rules:
        return NOTHING
    arms = {cell: tuple(found) for cell, found in cells.items()}
    kind, as_of, value, policy = rules[0]
    return Evidence(arms, dict(pairs), kind, as_of, value, policy.partition(" ")[2])
