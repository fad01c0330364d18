"""What a recommender answers, on small publications that were made by hand."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import astuple, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning._advice import Advice
from orb_learning.errors import InvalidQueryError
from orb_learning.home import Home
from orb_learning.publication import publish
from orb_learning.serving import EscalationAdvice, LearningDatabase, Recommendation, Recommender
from orb_learning.serving import _knowledge as knowledge
from orb_learning.serving import _recommender as recommenders
from orb_learning.serving._choice import choose
from orb_learning.serving._escalation import candidates, plans
from orb_learning.serving._evidence import ArmEvidence, PairEvidence
from orb_learning.serving._intervals import cost_interval, share_interval

AS_OF = date(2026, 6, 15)
Pair = tuple[str | None, str, str, PairEvidence]


def arm(name: str, success: float = 0.8, cost: float | None = 1.0, **values: Any) -> ArmEvidence:
    """Return what is known of an arm: much, unless `values` say otherwise."""
    low, high = share_interval(success, 0.0004)
    cost_low, cost_high = cost_interval(cost, 0.0001) if cost else (cost, cost)
    known = {
        "arm": name, "model_tier": name, "pool_type": None, "first_tries": 400, "costed": 400,
        "is_comparable": True, "success": success, "success_low": low, "success_high": high,
        "success_variance": 0.0004, "cost": cost, "cost_low": cost_low, "cost_high": cost_high,
        "cost_variance": None if cost is None else 0.0001, "effective_tries": 380.0,
    }  # fmt: skip
    return ArmEvidence(**(known | values))


def barely(name: str, success: float = 0.8, cost: float | None = 1.0) -> ArmEvidence:
    """Return an arm that too little is known of to recommend it."""
    return arm(
        name, success, cost, first_tries=3, costed=3, is_comparable=False, success_variance=0.02,
        effective_tries=3.0,
    )  # fmt: skip


def after(drop: float = 1.0, **values: Any) -> PairEvidence:
    known = {
        "runs": 50, "effective_tries": 45.0, "dependence": "measured", "log_odds_drop": drop,
        "cost_factor": 1.25,
    }  # fmt: skip
    return PairEvidence(**(known | values))


def all_pairs(names: Iterable[str], kinds: Iterable[str | None], **values: Any) -> list[Pair]:
    names = list(names)
    return [
        (kind, failed, other, after(**values))
        for kind in kinds
        for failed in names
        for other in names
        if failed != other
    ]


class Published:
    """A home whose publication holds what a test says is known of arms."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.create()
        with duckdb.connect(str(self.home.warehouse)) as warehouse:
            staging = f"attach if not exists '{self.home.root / 'staging.db'}' as staging"
            warehouse.execute(staging)
            warehouse.execute("create schema staging.ledger")
            warehouse.execute(
                "create table staging.ledger.loads (load_id bigint, loaded_at timestamp)"
            )
            warehouse.execute("create table staging.ledger.erasures (load_id bigint)")
            warehouse.execute("create table facts as select 1 as n")

    def tell(
        self,
        cells: dict[tuple[str | None, str | None], list[ArmEvidence]],
        pairs: Iterable[Pair] = (),
        *,
        kind: str = "model_tier",
        value: float = 40,
    ) -> None:
        """Publish what is known, by repository and task type."""
        with duckdb.connect(str(self.home.warehouse)) as warehouse:
            run = warehouse.execute
            run(f"attach '{self.home.root / 'staging.db'}' as staging")
            columns = ", ".join(
                f"{name} {_type_of(name)}" for name in ("repo", "task_type", *ArmEvidence.__slots__)
            )
            run(f"create or replace table arm_evidence ({columns})")
            for cell, arms in cells.items():
                for known in arms:
                    places = ", ".join("?" * (2 + len(ArmEvidence.__slots__)))
                    run(f"insert into arm_evidence values ({places})", [*cell, *astuple(known)])
            run(
                "create or replace table arm_pair_evidence (task_type text, failed_arm text,"
                " next_arm text, runs bigint, effective_tries double, dependence text,"
                " log_odds_drop double, cost_factor double)"
            )
            for of, failed, other, seen in pairs:
                run(
                    "insert into arm_pair_evidence values (?, ?, ?, ?, ?, ?, ?, ?)",
                    [of, failed, other, *astuple(seen)],
                )
            run(
                "create or replace table routing_recommendations as select 'everything' as level,"
                " $1 as arm_kind, $2 as as_of, $3::double as success_value_usd,"
                " $4 as policy_version where $5",
                [kind, AS_OF, value, f"safe_gain/1 value={value} window=90", bool(cells)],
            )
            self.publish(warehouse)

    def tell_nothing(self) -> None:
        """Publish what a release without any of these tables did."""
        with duckdb.connect(str(self.home.warehouse)) as warehouse:
            warehouse.execute(f"attach '{self.home.root / 'staging.db'}' as staging")
            for table in ("arm_evidence", "arm_pair_evidence", "routing_recommendations"):
                warehouse.execute(f"drop table if exists {table}")
            self.publish(warehouse)

    def publish(self, warehouse: duckdb.DuckDBPyConnection) -> None:
        publish(warehouse, self.home, schema="main", as_of=f"{AS_OF}T12:00:00+00:00")


def _type_of(name: str) -> str:
    texts = ("repo", "task_type", "arm", "model_tier", "pool_type")
    counts = ("first_tries", "costed")
    if name == "is_comparable":
        return "boolean"
    return "text" if name in texts else "bigint" if name in counts else "double"


NAMES = ("large", "medium", "small")
ALL = [arm("large", 0.9, 3.0), arm("medium", 0.8, 1.0), arm("small", 0.6, 0.1)]
FIXES = [arm("large", 0.85, 3.0), arm("medium", 0.84, 0.9), arm("small", 0.3, 0.1)]
WEB_FIXES = [arm("large", 0.95, 3.0), arm("medium", 0.6, 0.9), arm("small", 0.2, 0.1)]
CELLS: dict[tuple[str | None, str | None], list[ArmEvidence]] = {
    (None, None): ALL,
    (None, "fix"): FIXES,
    ("acme/web", "fix"): WEB_FIXES,
}
PAIRS = all_pairs(NAMES, (None, "fix"))


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path / "home")


@pytest.fixture
def asked(published: Published) -> Recommender:
    """A recommender on a publication that knows three arms."""
    published.tell(CELLS, PAIRS)
    return Recommender(published.home.root)


# -- choice -----------------------------------------------------------------------------------


def test_an_answer_is_of_the_repository_where_it_is_known(asked: Recommender) -> None:
    advice = asked.recommend("fix", "acme/web")

    assert (advice.arm, advice.model_tier, advice.pool_type) == ("large", "large", None)
    assert (advice.success, advice.cost) == (0.95, 3.0)
    assert advice.success_low is not None and advice.success_high is not None
    assert advice.success_low < 0.95 < advice.success_high
    assert advice.cost_low is not None and advice.cost_high is not None
    assert advice.cost_low < 3.0 < advice.cost_high
    assert (advice.level, advice.reference_arm, advice.abstained) == ("repo", "large", False)
    assert (advice.probability, advice.candidates) == (1.0, {"large": 1.0})
    assert advice.reason == "large is worth most of 3 arms"
    assert advice.policy_version == "safe_gain/1 value=40 window=90"
    assert advice.as_of == AS_OF


def test_an_unknown_repository_is_answered_from_the_task_type_and_says_so(
    asked: Recommender,
) -> None:
    advice = asked.recommend("fix", "acme/new")
    assert (advice.arm, advice.level) == ("medium", "task_type")
    assert advice.reason == (
        "medium is worth 1.70 USD a task more than large, the reference;"
        " nothing is known of fix in acme/new, so this is of fix anywhere"
    )
    assert asked.recommend("fix").reason == advice.reason.partition(";")[0]


def test_an_unknown_task_type_is_answered_from_all_runs_and_says_so(asked: Recommender) -> None:
    advice = asked.recommend("poem", "acme/web")
    assert (advice.arm, advice.level) == ("large", "everything")
    assert advice.reason == (
        "large is worth most of 3 arms; nothing is known of poem, so this is of all runs"
    )


def test_what_a_success_is_worth_decides(asked: Recommender) -> None:
    advice = asked.recommend("poem", success_value_usd=1)
    assert advice.arm == "small"
    assert advice.policy_version == "safe_gain/1 value=1 window=90"
    assert asked.recommend("poem", success_value_usd=1_000).arm == "large"


@pytest.mark.parametrize("value", [40, 2.5, 1_234_567, 40.125])
def test_the_policy_names_the_value_that_decided(published: Published, value: float) -> None:
    published.tell({(None, None): ALL}, PAIRS, value=value)
    recommender = Recommender(published.home.root)
    for ask in (recommender.recommend, recommender.recommend_escalation):
        assert f" value={value} " in str(ask("fix").policy_version)
        for asked in (7, 0.25, 7_654_321):
            policy = ask("fix", arms=["large"], success_value_usd=asked).policy_version
            assert f" value={asked} window=90" in str(policy)


def test_a_gain_that_may_be_chance_leaves_the_reference_and_names_the_nearest(
    published: Published,
) -> None:
    close = [arm("new", 0.81, 1.0, success_variance=0.01), arm("old", 0.8, 1.0)]
    published.tell({(None, None): close})
    advice = Recommender(published.home.root).recommend("fix")

    assert (advice.arm, advice.abstained) == ("old", True)
    assert advice.reason.partition(";")[0] == (
        "old stays: new looks 0.40 USD a task better, "
        "which about 590 more runs of each would settle"
    )


def test_one_arm_alone_is_no_choice(published: Published) -> None:
    published.tell({(None, None): [arm("only")]})
    advice = Recommender(published.home.root).recommend("fix")

    assert (advice.arm, advice.abstained) == ("only", True)
    assert advice.reason.startswith("only is the only arm with enough runs and reported costs")


def test_an_arm_without_any_cost_is_neither_free_nor_worth_trying() -> None:
    known = [arm("paid", 0.5), barely("unpriced", 0.99, None), barely("hopeful", 0.5)]
    choice = choose(known, "paid", 40)
    assert choice.arm.arm == "paid"
    assert choice.worth_trying == ("hopeful", "paid")


# -- what the host can use --------------------------------------------------------------------


def test_only_arms_that_the_host_names_are_recommended(asked: Recommender) -> None:
    advice = asked.recommend("poem", arms=["small", "medium"])
    assert (advice.arm, advice.reference_arm) == ("medium", "medium")
    assert asked.recommend("poem", arms={"small"}).arm == "small"
    assert asked.recommend_escalation("poem", arms=("small",)).arms == ("small",)


def test_a_named_arm_that_nobody_has_seen_is_tried_and_never_recommended(
    asked: Recommender,
) -> None:
    names = ["large", "medium", "brand new"]
    assert asked.recommend("poem", arms=names).candidates == {"large": 1.0}
    shares = asked.recommend("poem", arms=names, explore=0.2).candidates
    assert shares == {"large": pytest.approx(0.9), "brand new": pytest.approx(0.1)}


def test_with_less_than_half_of_the_named_arms_known_the_host_decides(
    published: Published,
) -> None:
    published.tell({(None, None): [arm("large"), barely("small")]})
    recommender = Recommender(published.home.root)

    assert recommender.recommend("fix", arms=["large", "small"]).arm == "large"
    for ask in (recommender.recommend, recommender.recommend_escalation):
        advice = ask("fix", arms=["large", "small", "new"], explore=1)
        assert advice.abstained
        assert advice.reason == (
            "too few of the named arms have enough first tries and reported costs yet"
        )
        assert (advice.probability, advice.candidates, advice.level) == (None, {}, None)
        assert advice.to_decision() == {}
    assert recommender.recommend("fix", arms=["large", "small", "new"]).arm is None


# -- exploration ------------------------------------------------------------------------------


@pytest.fixture
def uncertain(published: Published) -> Recommender:
    """A recommender that takes `best`, and has two more arms that may be as good."""
    known = [
        arm("best", 0.9, 1.0, success_variance=0.01), barely("rare", 0.85), arm("third", 0.88),
        arm("worst", 0.1),
    ]  # fmt: skip
    published.tell({(None, None): known}, all_pairs(["best", "third", "worst"], [None]))
    return Recommender(published.home.root)


def drawn(monkeypatch: pytest.MonkeyPatch, chance: float, name: str) -> None:
    """Let the next draws be these."""

    def choice(names: Iterable[str]) -> str:
        assert name in names
        return name

    double = SimpleNamespace(random=lambda: chance, choice=choice)
    monkeypatch.setattr(recommenders, "random", double)


def test_shares_are_exact_and_add_up_to_one(
    uncertain: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = uncertain.recommend("fix").arm
    for explore in (0.0, 0.1, 1):
        drawn(monkeypatch, 0.99999, "rare")
        for ask in (uncertain.recommend, uncertain.recommend_escalation):
            shares = ask("fix", explore=explore).candidates
            assert sum(shares.values()) == pytest.approx(1, abs=1e-12)
            assert all(0 < share <= 1 for share in shares.values())
    drawn(monkeypatch, 0.1, "rare")  # not below the share: nothing is drawn
    advice = uncertain.recommend("fix", explore=0.1)
    assert advice.arm == chosen == "third"
    assert advice.candidates == {
        "best": pytest.approx(0.1 / 3), "rare": pytest.approx(0.1 / 3),
        "third": pytest.approx(0.9 + 0.1 / 3),
    }  # fmt: skip
    assert advice.probability == advice.candidates["third"]
    assert advice.policy_version is not None and advice.policy_version.endswith(" explore=0.1")


def test_a_drawn_arm_comes_with_its_own_figures_and_share(
    uncertain: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(monkeypatch, 0.0999, "rare")
    advice = uncertain.recommend("fix", explore=0.1)

    assert (advice.arm, advice.model_tier, advice.success) == ("rare", "rare", 0.85)
    assert advice.probability == pytest.approx(0.1 / 3)
    assert advice.reason.startswith("rare was drawn to learn more of it; third ")


def test_draws_come_as_often_as_their_shares_say(uncertain: Recommender) -> None:
    random.seed(20261130)
    names = [uncertain.recommend("fix", explore=0.3).arm for _ in range(3_000)]
    shares = uncertain.recommend("fix", explore=0.3).candidates
    for name, share in shares.items():
        assert names.count(name) / 3_000 == pytest.approx(share, abs=0.03)


def test_an_unseen_arm_is_drawn_with_the_parts_that_its_name_has(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(monkeypatch, 0.0, "a||b | swarm")
    parts = {
        "both": ("a|b", "swarm"),
        "model_tier": ("a||b | swarm", None),
        "pool_type": (None, "a||b | swarm"),
    }
    for kind, (tier, pool) in parts.items():
        published.tell({(None, None): [arm("known")]}, kind=kind)
        recommender = Recommender(published.home.root)
        advice = recommender.recommend("fix", arms=["known", "a||b | swarm"], explore=1)
        assert (advice.arm, advice.success, advice.cost) == ("a||b | swarm", None, None)
        assert (advice.model_tier, advice.pool_type) == (tier, pool)
    published.tell({(None, None): [arm("known")]}, kind="both")
    drawn(monkeypatch, 0.0, "large")
    advice = Recommender(published.home.root).recommend("fix", arms=["known", "large"], explore=1)
    assert (advice.model_tier, advice.pool_type) == ("large", None)


# -- escalation -------------------------------------------------------------------------------


def test_a_plan_names_its_arms_and_what_they_come_to(asked: Recommender) -> None:
    advice = asked.recommend_escalation("fix", arms=["large", "medium"])

    assert advice.arms == ("medium", "large")
    # The odds of large after a failure are lower by a factor of e, its cost higher by a quarter.
    failure = 1 / (1 + 0.85 / 0.15 / 2.718281828459045)
    assert advice.success == pytest.approx(1 - 0.16 * failure)
    assert advice.cost == pytest.approx(0.9 + 0.16 * 3.0 * 1.25)
    assert advice.expected_attempts == pytest.approx(1.16)
    assert advice.success_low is not None and advice.success_high is not None
    assert advice.success is not None
    assert advice.success_low < advice.success < advice.success_high
    assert (advice.dependence, advice.pair_runs, advice.level) == ("measured", 50, "task_type")
    assert (advice.model_tier, advice.abstained) == ("medium", False)
    assert advice.reason == ("later arms were seen after such failures 50 times or more")
    assert advice.policy_version == "escalation/1 value=40 window=90"


@pytest.mark.parametrize(
    ("dependence", "words"),
    [
        ("pooled", "later arms are taken to fail with the earlier as all pairs of arms do"),
        (
            "assumed",
            "how arms fail together is assumed, for too few tries after failures were seen",
        ),
    ],
)
def test_a_plan_says_how_it_is_known_how_arms_fail_together(
    published: Published, dependence: str, words: str
) -> None:
    published.tell(CELLS, all_pairs(NAMES, (None,), dependence=dependence, runs=3))
    advice = Recommender(published.home.root).recommend_escalation("fix", "acme/new")
    assert (advice.dependence, advice.pair_runs) == (dependence, 3)
    assert words in advice.reason
    assert "nothing is known of fix in acme/new" in advice.reason


def test_a_plan_of_one_arm_says_so(published: Published) -> None:
    published.tell({(None, None): [arm("good", 0.95, 0.0), arm("bad", 0.05, 9.0)]})
    free = Recommender(published.home.root)
    published.tell(
        {(None, None): [arm("good", 0.95, 0.0), arm("bad", 0.05, 9.0)]},
        all_pairs(["good", "bad"], [None]),
    )
    advice = free.recommend_escalation("fix")
    assert advice.arms == ("good",)
    assert (advice.cost, advice.cost_low, advice.cost_high) == (0.0, 0.0, 0.0)
    assert (advice.dependence, advice.pair_runs) == ("none", 0)
    assert advice.reason.startswith("good alone is worth most of 2 arms")


def test_a_third_arm_takes_the_worse_of_both_failures_and_a_little_off() -> None:
    known = [arm("a", 0.5, 1.0), arm("b", 0.5, 1.0), arm("c", 0.5, 1.0)]
    pairs = {(x, y): after(0.5) for x in "abc" for y in "abc" if x != y}
    pairs["a", "c"] = after(1.0, cost_factor=2.0, runs=7, dependence="pooled")
    (plan,) = (plan for plan in plans(known, pairs) if plan.arms == ("a", "b", "c"))

    second, third = 1 / (1 + 2.718281828459045**0.5), 1 / (1 + 2.718281828459045**1.6)
    assert plan.success == pytest.approx(1 - 0.5 * (1 - second) * (1 - third))
    assert plan.cost == pytest.approx(1 + 0.5 * 1.25 + 0.5 * (1 - second) * 2.0 * 1.15)
    assert (plan.pair_runs, plan.dependence) == (7, "pooled")


def test_a_target_takes_the_smallest_worth_that_reaches_it(asked: Recommender) -> None:
    low = asked.recommend_escalation("fix", target_success=0.5)
    high = asked.recommend_escalation("fix", target_success=0.93)

    assert low.success is not None and high.success is not None
    assert low.cost is not None and high.cost is not None
    assert low.cost < high.cost
    assert high.success >= 0.93  # fix is all that its mix of types has
    assert high.policy_version == "escalation/1 value=40 window=90 target=0.93"
    assert asked.recommend_escalation("fix", target_success=0.93) == high


def test_a_target_that_no_plans_reach_says_what_they_reach(asked: Recommender) -> None:
    advice = asked.recommend_escalation("fix", target_success=1)
    assert len(advice.arms) == 3
    assert "; no plans reach 100.0%, these 9" in advice.reason


def test_a_target_is_met_over_the_recent_mix_of_types(published: Published) -> None:
    easy = [arm("large", 0.99, 3.0), arm("small", 0.98, 0.1)]
    hard = [replace(of, success=0.5, effective_tries=20.0) for of in easy]
    cells = {(None, None): easy, (None, "easy"): easy, (None, "hard"): hard}
    published.tell(cells, all_pairs(["large", "small"], (None, "easy", "hard")))
    recommender = Recommender(published.home.root)

    advice = recommender.recommend_escalation("hard", target_success=0.95)
    assert advice.success is not None
    assert advice.success < 0.8
    assert "no plans reach" not in advice.reason


def test_a_target_over_types_whose_runs_have_no_weight_left_takes_each_as_one(
    published: Published,
) -> None:
    faded = [replace(of, effective_tries=0.0) for of in ALL]
    published.tell({(None, None): faded, (None, "fix"): faded}, PAIRS)
    advice = Recommender(published.home.root).recommend_escalation("fix", target_success=0.85)
    assert advice.success is not None
    assert advice.success >= 0.85


def test_a_plan_may_begin_with_a_drawn_arm(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [arm("best", 0.9, 1.0, success_variance=0.04), barely("rare"), arm("third", 0.88)]
    published.tell({(None, None): known}, all_pairs(["best", "third"], [None]))
    recommender = Recommender(published.home.root)
    planned = recommender.recommend_escalation("fix").arms
    assert len(planned) == 2

    drawn(monkeypatch, 0.0, planned[1])
    comparable = recommender.recommend_escalation("fix", explore=0.2)
    assert comparable.arms[0] == planned[1]
    assert comparable.success is not None
    assert comparable.dependence == "measured"
    assert comparable.model_tier == planned[1]

    drawn(monkeypatch, 0.0, "rare")
    seldom = recommender.recommend_escalation("fix", explore=0.2)
    assert seldom.arms == ("rare", *planned)
    assert (seldom.success, seldom.cost, seldom.expected_attempts) == (None, None, None)
    assert (seldom.dependence, seldom.pair_runs) == (None, 0)
    assert seldom.reason.startswith("rare was drawn to learn more of it; ")
    assert seldom.probability == pytest.approx(0.2 / 3)

    drawn(monkeypatch, 0.0, "new")
    unseen = recommender.recommend_escalation("fix", explore=0.2, arms=["best", "third", "new"])
    assert unseen.arms == ("new", *planned)
    assert (unseen.model_tier, unseen.success) == ("new", None)


def test_a_drawn_arm_is_followed_by_what_the_target_is_worth(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [arm("cheap", 0.8, 0.1), arm("dear", 0.95, 10.0), arm("mid", 0.75, 0.2)]
    known = [replace(of, success_variance=0.04) for of in known]
    published.tell(
        {(None, None): known, (None, "fix"): known},
        all_pairs(["cheap", "dear", "mid"], [None, "fix"]),
    )
    recommender = Recommender(published.home.root)

    drawn(monkeypatch, 0.0, "mid")
    at_value = recommender.recommend_escalation("fix", explore=0.2)
    at_target = recommender.recommend_escalation("fix", explore=0.2, target_success=0.7)
    assert at_value.arms[0] == at_target.arms[0] == "mid"
    assert "dear" in at_value.arms
    assert "dear" not in at_target.arms  # nobody asked for what only it solves


def test_a_drawn_arm_that_no_plan_has_gets_plans_of_its_own(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap = [arm(f"cheap{n}", 0.6 + n / 100, 0.1 + n / 100) for n in range(9)]
    cheap[0] = replace(cheap[0], success_variance=0.09)
    unloved = arm("unloved", 0.6, 0.9, success_variance=0.09)
    names = ["unloved", *(of.arm for of in cheap)]
    published.tell({(None, None): [*cheap, unloved]}, all_pairs(names, [None]))
    assert "unloved" not in candidates([*cheap, unloved])

    drawn(monkeypatch, 0.0, "unloved")
    advice = Recommender(published.home.root).recommend_escalation("fix", explore=0.5)
    assert advice.arms[0] == "unloved"
    assert len(advice.arms) == 3
    assert advice.success is not None


def test_without_an_arm_that_can_be_compared_there_is_no_candidate() -> None:
    assert candidates([barely("rare")]) == set()


def test_plans_are_made_of_few_arms() -> None:
    many = [arm(f"arm{n:02}", 0.3 + 0.02 * n, 0.01 * 1.3**n) for n in range(30)]
    assert len(candidates(many)) == 12


# -- what is not there ------------------------------------------------------------------------


def reasons(recommender: Recommender) -> set[str]:
    """Return why every kind of question is not answered."""
    one = recommender.recommend("fix", "acme/web", explore=0.5)
    plan = recommender.recommend_escalation("fix", target_success=0.9)
    assert (one.arm, one.abstained, one.success, one.cost) == (None, True, None, None)
    assert (plan.arms, plan.abstained, plan.success, plan.dependence) == ((), True, None, None)
    assert recommender.evidence("fix") == []
    return {one.reason, plan.reason}


def test_without_a_publication_it_abstains(tmp_path: Path) -> None:
    (reason,) = reasons(Recommender(tmp_path / "nothing"))
    assert "nothing" in reason


def test_a_publication_of_a_release_that_knew_no_arms_is_one_without_evidence(
    published: Published,
) -> None:
    published.tell_nothing()
    assert reasons(Recommender(published.home.root)) == {
        "the publication knows no arms yet; run `orb-learning refresh`"
    }


def test_a_publication_without_any_run_is_one_without_evidence(published: Published) -> None:
    published.tell({})
    assert reasons(Recommender(published.home.root)) == {
        "the publication knows no arms yet; run `orb-learning refresh`"
    }


def test_a_publication_that_cannot_be_read_makes_it_abstain(published: Published) -> None:
    published.tell(CELLS)
    (published.home.current.resolve() / "learning.db").write_bytes(b"no database" * 999)
    (reason,) = reasons(Recommender(published.home.root))
    assert "learning.db" in reason


def test_arms_of_which_too_little_is_known_make_it_abstain(published: Published) -> None:
    published.tell({(None, None): [barely("small")]})
    recommender = Recommender(published.home.root)
    advice = recommender.recommend("fix")
    assert (advice.arm, advice.abstained) == (None, True)
    assert advice.reason == "no arm has enough first tries and reported costs yet"


def test_it_follows_a_new_publication(published: Published) -> None:
    recommender = Recommender(str(published.home.root))
    assert recommender.recommend("fix").arm is None
    published.tell(CELLS)
    assert recommender.recommend("fix").arm == "medium"
    published.tell({(None, None): [arm("other")]})
    assert recommender.recommend("fix").arm == "other"
    published.tell_nothing()
    assert recommender.recommend("fix").arm is None


def test_what_is_known_is_told_by_arm(asked: Recommender) -> None:
    assert [of.success for of in asked.evidence("fix", "acme/web")] == [0.95, 0.6, 0.2]
    assert asked.evidence("fix", "acme/new") == asked.evidence("fix") == FIXES
    assert [of.arm for of in asked.evidence("poem")] == [*NAMES]
    assert asked.evidence() == ALL


def test_a_closed_recommender_refuses(asked: Recommender) -> None:
    assert asked.recommend("fix").arm
    asked.close()
    for ask in (asked.recommend, asked.recommend_escalation, asked.evidence):
        with pytest.raises(InvalidQueryError, match="closed"):
            ask("fix")


# -- arguments --------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"task_type": None}, "task_type: expected a text, not None"),
    ({"task_type": 3}, "task_type: expected a text, not int"),
    ({"repo": b"web"}, "repo: expected a text, not bytes"),
    ({"repo": "\ud800"}, "repo: the text has half a character in it"),
    ({"success_value_usd": 0}, "success_value_usd: expected a number above 0, up to 1e+09, not 0"),
    ({"success_value_usd": -1.5}, "success_value_usd: .* not -1.5"),
    ({"success_value_usd": float("nan")}, "success_value_usd: .* not nan"),
    ({"success_value_usd": float("inf")}, "success_value_usd: .* not inf"),
    ({"success_value_usd": 2e9}, "success_value_usd: .* not 2000000000.0"),
    ({"success_value_usd": True}, "success_value_usd: .* not True"),
    ({"success_value_usd": "40"}, "success_value_usd: .* not '40'"),
    ({"explore": 1.01}, "explore: expected a share from 0 to 1, not 1.01"),
    ({"explore": -0.1}, "explore: expected a share from 0 to 1, not -0.1"),
    ({"explore": None}, "explore: expected a share from 0 to 1, not None"),
    ({"explore": True}, "explore: expected a share from 0 to 1, not True"),
    ({"arms": "large"}, "arms: expected a list of names, not str"),
    ({"arms": 5}, "arms: expected a list of names, not int"),
    ({"arms": []}, "arms: expected one name or more"),
    ({"arms": ["large", None]}, "arms: expected one name or more"),
    ({"arms": ["large", 5]}, "arms: expected a text, not int"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_an_argument_that_is_none_is_refused_in_one_line(
    asked: Recommender, wrong: dict[str, Any], said: str
) -> None:
    for ask in (asked.recommend, asked.recommend_escalation):
        with pytest.raises(InvalidQueryError, match=said.replace("+", r"\+")) as caught:
            ask(**({"task_type": "fix"} | wrong))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", [0, 1.01, True, "0.9"])
def test_a_target_that_is_no_share_is_refused(asked: Recommender, target: Any) -> None:
    with pytest.raises(InvalidQueryError, match="target_success: expected a number above 0, up to"):
        asked.recommend_escalation("fix", target_success=target)


def test_a_value_and_a_target_are_refused(asked: Recommender) -> None:
    with pytest.raises(InvalidQueryError, match="success_value_usd or target_success, not both"):
        asked.recommend_escalation("fix", success_value_usd=1, target_success=0.9)


# -- many questions ---------------------------------------------------------------------------


def test_many_threads_get_what_one_gets(published: Published) -> None:
    published.tell(CELLS, PAIRS)
    alone = Recommender(published.home.root)
    kinds = ["fix", "poem"] * 4
    expected = [(alone.recommend(kind), alone.recommend_escalation(kind)) for kind in kinds]
    together = Recommender(published.home.root)
    start = threading.Barrier(8)
    found: dict[int, list[Any]] = {}

    def ask(number: int) -> None:
        start.wait()
        kind = kinds[number]
        found[number] = [
            (together.recommend(kind), together.recommend_escalation(kind)) for _ in range(50)
        ]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for number, answers in found.items():
        assert all(answer == expected[number] for answer in answers)


def test_evidence_is_read_once_where_two_threads_find_a_new_publication(
    asked: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AfterAnother:
        """A lock that is got when another thread has read the evidence under it."""

        def __enter__(self) -> None:
            asked._opened = asked._publications.current()

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(asked, "_lock", AfterAnother())
    assert asked.recommend("fix").arm is None  # what the other would have read, it did not here


def test_no_more_answers_are_kept_than_memory_has_room_for(
    asked: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "MOST_ANSWERS", 3)
    monkeypatch.setattr(knowledge, "MOST_MENUS", 2)
    for number in range(20):
        kind, value = ("fix", "poem")[number % 2], 1.0 + number % 7
        names = NAMES[: 1 + number % 3]
        plan = asked.recommend_escalation(kind, success_value_usd=value, arms=names)
        assert set(plan.arms) <= {*names}
    known = asked._knowledge
    assert len(known._bases) <= 3
    assert len(known._plans) <= 3
    assert len(known._menus) <= 2


def test_a_learning_database_answers_the_same_in_an_event_loop(published: Published) -> None:
    published.tell(CELLS, PAIRS)
    alone = Recommender(published.home.root)

    async def ask() -> list[object]:
        async with LearningDatabase(published.home.root) as learning:
            return [
                await learning.recommend("fix", "acme/web", success_value_usd=3, arms=NAMES),
                await learning.recommend_escalation("fix", target_success=0.9, arms=NAMES),
            ]

    assert asyncio.run(ask()) == [
        alone.recommend("fix", "acme/web", success_value_usd=3, arms=NAMES),
        alone.recommend_escalation("fix", target_success=0.9, arms=NAMES),
    ]


# -- into a decision --------------------------------------------------------------------------


def test_an_answer_goes_straight_into_a_decision(
    asked: Recommender, tmp_path: Path, events_in: Callable[[Path], list[Any]]
) -> None:
    advice = asked.recommend("fix", explore=0.25)
    decided = advice.to_decision()
    assert decided == {
        "model_tier": advice.arm,
        "policy_version": advice.policy_version,
        "propensity": advice.probability,
        "candidates": dict(advice.candidates),
    }
    with Telemetry(tmp_path / "host", strict=True) as telemetry:
        telemetry.capture_routing_decision_sync(task_type="fix", **decided)
    (event,) = events_in(telemetry.home.spool)
    assert event.propensity == advice.probability
    assert json.loads(json.dumps(event.candidates)) == dict(advice.candidates)


def test_both_answers_are_advice_and_advice_by_itself_says_nothing(asked: Recommender) -> None:
    assert isinstance(asked.recommend("fix"), Recommendation)
    assert isinstance(asked.recommend_escalation("fix"), EscalationAdvice)
    assert isinstance(asked.recommend("fix"), Advice)
    with pytest.raises(NotImplementedError):
        Advice().to_decision()


def test_an_arm_that_fails_with_no_other_is_no_surer_after_a_failure_than_alone() -> None:
    arms = [arm("cheap", 0.6), arm("thin", 0.8, success_variance=0.02)]
    (alike,) = (
        plan
        for plan in plans(arms, {("cheap", "thin"): after(0.0), ("thin", "cheap"): after(0.0)})
        if plan.arms == ("cheap", "thin")
    )
    # A failure of the first leads to the second; a failure of the second keeps one of the first.
    assert alike.success_variance == pytest.approx(0.4**2 * 0.02 + 0.2**2 * 0.0004)


# -- intervals --------------------------------------------------------------------------------


def test_a_share_that_little_is_known_of_may_be_anything() -> None:
    assert share_interval(0.5, 0.2) == (0.0, 1.0)


# 2.5 and 97.5 % of Beta(a, b), by bisection of its distribution.
BETAS = [
    (8, 2, 0.5175, 0.9719), (80, 20, 0.7166, 0.872), (300, 1, 0.9878, 0.9999),
    (4, 0.5, 0.5138, 0.9999), (9.5, 0.5, 0.7624, 0.9999), (0.3, 14.7, 0.0, 0.124),
    (14.7, 0.3, 0.876, 1.0), (199.8, 0.2, 0.9925, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "low", "high"), BETAS)
def test_the_ends_of_a_share_are_those_of_a_beta(
    a: float, b: float, low: float, high: float
) -> None:
    mean = a / (a + b)
    found = share_interval(mean, mean * (1 - mean) / (a + b + 1))
    assert found == pytest.approx((low, high), abs=0.01)
    assert found[0] <= mean <= found[1]


def test_a_cost_lies_around_its_mean_in_logarithms() -> None:
    low, high = cost_interval(2.0, 0.04)
    assert low * high == pytest.approx(4.0)
    assert low == pytest.approx(2.0 * 2.718281828459045 ** (-1.96 * 0.1))
    assert cost_interval(0.0, 0.0) == (0.0, 0.0)
