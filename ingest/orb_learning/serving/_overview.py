"""What a report opens with: what to use for each kind of task, and how things go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from orb_learning._types import utc_now
from orb_learning.publication import Publication
from orb_learning.serving._answers import EscalationAdvice, Recommendation
from orb_learning.serving._evidence import ArmEvidence
from orb_learning.serving._publications import OnePublication
from orb_learning.serving._recommender import Recommender

if TYPE_CHECKING:
    import duckdb

WEEKS = 8
"""How far back the weeks of an arm are shown."""

QUIET = timedelta(days=30)
"""An arm that nobody ran for as long may have changed since."""

OLD = timedelta(days=1)
"""A publication that is older is said to be."""

_IS_OF_ARM = {
    "model_tier": "executions.model_tier = arms.model_tier",
    "pool_type": "executions.pool_type = arms.pool_type",
    "both": "executions.model_tier = arms.model_tier and executions.pool_type = arms.pool_type",
}
_NEEDED = {"date", "success", "cost_source", "quality_score", "model_tier", "pool_type", "arm"}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which executions a report is about; None takes all.

    Attributes:
        repo: of one repository.
        task_type: of one kind of task.
        tier: of one model tier.
        days: of the last so many days, the day that the marts end at included.
    """

    repo: str | None = None
    task_type: str | None = None
    tier: str | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class ArmAnswer:
    """What is known of one arm for a kind of task.

    Attributes:
        evidence: success and cost, with intervals.
        runs: executions in the last `WEEKS` weeks.
        weeks: the share of them that succeeded, 0..1, by week, the oldest first; None without any.
    """

    evidence: ArmEvidence
    runs: int
    weeks: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What to use for one kind of task.

    Attributes:
        task_type: the kind.
        single: which arm to give it to.
        plan: in which order to try arms.
        arms: what is known of each, those of the plan first, then by success.
        runs_missing: about how many more runs there must be before there is any answer; 0 if one
            is given.
    """

    task_type: str
    single: Recommendation
    plan: EscalationAdvice
    arms: list[ArmAnswer]
    runs_missing: int


@dataclass(frozen=True, slots=True)
class Period:
    """All executions of some days together.

    Attributes:
        executions: how many.
        success_rate: 0..1; None without any.
        mean_cost: USD of those whose cost is known; None where none is.
        mean_quality: 0..100 of those that have a score; None where none has.
    """

    executions: int
    success_rate: float | None
    mean_cost: float | None
    mean_quality: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The answers of one publication.

    Attributes:
        answers: by kind of task, the one of most runs first.
        days: how many days a period has.
        now: the last of them.
        before: as many before these.
        stale: what is out of date, and the remedy, a sentence each.
    """

    answers: list[TaskAnswer]
    days: int
    now: Period
    before: Period
    stale: list[str]


def read_overview(
    connection: duckdb.DuckDBPyConnection, publication: Publication, filters: Filters
) -> Overview | None:
    """Read the answers of an open publication, attached as `learning`.

    Returns:
        None where an earlier release published it, without what answers come from.
    """
    found = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'learning'"
        " and table_name in ('executions', 'arm_evidence')"
    ).fetchall()
    if not {column for (column,) in found} >= _NEEDED:
        return None
    day, days = date.fromisoformat(publication.as_of[:10]), filters.days or 30
    return Overview(
        list(_answers(connection, day, filters)),
        days,
        _period(connection, day, days, filters),
        _period(connection, day - timedelta(days), days, filters),
        [*_old(publication), *_quiet(connection, day)],
    )


def _answers(
    connection: duckdb.DuckDBPyConnection, day: date, filters: Filters
) -> Iterator[TaskAnswer]:
    recommender = Recommender(publications=OnePublication(connection))
    named = None
    if filters.tier is not None and recommender.arm_kind != "pool_type":
        tiers = {arm.arm: arm.model_tier for arm in recommender.evidence()}
        named = [arm for arm, tier in tiers.items() if tier == filters.tier] or [filters.tier]
    weeks = _weeks(connection, recommender.arm_kind, day, filters.repo)
    for kind in _kinds(connection, filters):
        single = recommender.recommend(kind, filters.repo, arms=named)
        plan = recommender.recommend_escalation(kind, filters.repo, arms=named)
        known = {
            arm.arm: arm
            for arm in recommender.evidence(kind, filters.repo)
            if named is None or arm.arm in named
        }
        others = sorted(
            (arm for arm in known.values() if arm.arm not in plan.arms),
            key=lambda arm: (-arm.success, arm.arm),
        )
        yield TaskAnswer(
            kind,
            single,
            plan,
            [
                ArmAnswer(arm, *weeks.get((kind, arm.arm), (0, (None,) * WEEKS)))
                for arm in [*(known[name] for name in plan.arms), *others]
            ],
            0 if plan.arms else recommender.runs_missing(named),
        )


def _kinds(connection: duckdb.DuckDBPyConnection, filters: Filters) -> list[str]:
    """Return the kinds of task that anything is known of, the one of most runs first."""
    found = connection.execute(
        """
        select task_type
        from learning.arm_evidence
        where level = case when $repo is null then 'task_type' else 'repo' end
            and ($repo is null or repo = $repo)
            and ($task_type is null or task_type = $task_type)
        group by task_type
        having sum(runs) > 0
        order by sum(runs) desc, task_type
        """,
        {"repo": filters.repo, "task_type": filters.task_type},
    )
    return [kind for (kind,) in found.fetchall()]


def _weeks(
    connection: duckdb.DuckDBPyConnection, arm_kind: str, day: date, repo: str | None
) -> dict[tuple[str, str], tuple[int, tuple[float | None, ...]]]:
    """Return runs and weekly success of each kind of task and arm."""
    found = connection.execute(
        f"""
        select
            executions.task_type,
            arms.arm,
            datediff('day', executions.date, $day) // 7 as weeks_ago,
            count(*),
            avg(cast(executions.success as integer))
        from learning.executions
        inner join learning.arm_evidence as arms on {_IS_OF_ARM[arm_kind]}
        where arms.level = 'everything'
            and executions.date > $day - {7 * WEEKS}
            and executions.date <= $day
            and ($repo is null or executions.repo = $repo)
        group by all
        """,
        {"day": day, "repo": repo},
    )
    runs: defaultdict[tuple[str, str], int] = defaultdict(int)
    shares: defaultdict[tuple[str, str], list[float | None]] = defaultdict(lambda: [None] * WEEKS)
    for kind, arm, weeks_ago, count, share in found.fetchall():
        runs[kind, arm] += count
        shares[kind, arm][WEEKS - 1 - weeks_ago] = share
    return {key: (runs[key], tuple(shares[key])) for key in runs}


def _period(
    connection: duckdb.DuckDBPyConnection, last: date, days: int, filters: Filters
) -> Period:
    found = connection.execute(
        """
        select
            count(*),
            avg(cast(success as integer)),
            avg(case when cost_source != 'unknown' then actual_cost end),
            avg(quality_score)
        from learning.executions
        where date > $last - $days
            and date <= $last
            and ($repo is null or repo = $repo)
            and ($task_type is null or task_type = $task_type)
            and ($tier is null or model_tier = $tier)
        """,
        {
            "last": last, "days": days,
            "repo": filters.repo, "task_type": filters.task_type, "tier": filters.tier,
        },
    )  # fmt: skip
    return Period(*found.fetchall()[0])


def _old(publication: Publication) -> Iterator[str]:
    age = utc_now() - datetime.fromisoformat(publication.published_at)
    if age > OLD:
        yield f"published {age.days} days ago; run `orb-learning refresh`"


def _quiet(connection: duckdb.DuckDBPyConnection, day: date) -> Iterator[str]:
    found = connection.execute(
        "select arm, datediff('day', last_seen::date, $day) from learning.arm_evidence"
        " where level = 'everything' and last_seen < $day - $quiet order by last_seen, arm",
        {"day": day, "quiet": QUIET.days},
    )
    for arm, days in found.fetchall():
        yield f"{arm} was last run {days} days ago"
