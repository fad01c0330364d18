"""`Recommender`: which arm to give a task to, or which to try in turn, as the log has it."""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from orb_learning.errors import HomeError, InvalidQueryError, NotPublishedError
from orb_learning.home import Home
from orb_learning.serving._answers import (
    EscalationAdvice,
    Recommendation,
    figures_of,
    parts_of,
)
from orb_learning.serving._arguments import checked_text
from orb_learning.serving._choice import Choice
from orb_learning.serving._escalation import LONGEST, Plan
from orb_learning.serving._evidence import NOTHING, ArmEvidence, read_evidence
from orb_learning.serving._knowledge import Basis, Knowledge, Question
from orb_learning.serving._publications import Publications, Source

MAX_VALUE = 1e9


class Recommender:
    """Answers from the current publication, in memory; safe to be used by many threads.

        recommender = Recommender()
        advice = recommender.recommend("bug_fix", repo="acme/api")

    It follows new publications: the first call after one reads its evidence. Whatever the log or
    the publication holds, it answers; where it knows too little it abstains, and says why.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        publications: Source | None = None,
    ) -> None:
        """Open nothing yet; the first call does.

        Args:
            home: the home directory; default $ORB_LEARNING_HOME, else ./data.
            publications: those of the home, where somebody has them open already.
        """
        self._publications: Source = publications or Publications(
            Home.locate(home), threads=1, memory_limit="1GB"
        )
        self._opened: object = None
        self._knowledge = Knowledge(NOTHING)
        self._lock = threading.Lock()

    def recommend(
        self,
        task_type: str,
        repo: str | None = None,
        *,
        success_value_usd: float | None = None,
        explore: float = 0.0,
        arms: Iterable[str] | None = None,
    ) -> Recommendation:
        """Return which arm to give a task to.

        An arm that was never seen is never recommended, only tried where `explore` says so.

        Args:
            task_type: the kind of task; one that nobody knows is answered from all runs.
            repo: its repository; one that nobody knows is answered from the task type.
            success_value_usd: what a success is worth; default the var of that name. The answer is
                the arm of the largest success times this, less its cost.
            explore: how often, 0..1, to draw one of the arms that may be as good instead.
            arms: what the host can use; default those that were seen.

        Raises:
            InvalidQueryError: an argument is none.
        """
        question = _question(task_type, repo, success_value_usd, arms)
        share = _checked_share("explore", explore)
        knowledge = self._current()
        basis = knowledge.basis(question)
        if basis is None:
            return Recommendation(**figures_of(None), reason=_why_nothing(knowledge, question))
        choice = basis.choice
        draw = _draw(choice.arm.arm, knowledge.worth_trying(question, basis), share)
        return Recommendation(
            **parts_of(basis.cell.get(draw.arm), draw.arm, knowledge.evidence.arm_kind),
            **figures_of(basis.cell.get(draw.arm)),
            probability=draw.shares[draw.arm],
            candidates=draw.shares,
            reference_arm=choice.reference.arm,
            level=basis.level,
            abstained=choice.is_abstained,
            reason=draw.note + reason_of(choice) + basis.note,
            policy_version=_policy("safe_gain/1", knowledge, basis, explore=share),
            as_of=knowledge.evidence.as_of,
            arm=draw.arm,
        )

    def recommend_escalation(
        self,
        task_type: str,
        repo: str | None = None,
        *,
        success_value_usd: float | None = None,
        target_success: float | None = None,
        explore: float = 0.0,
        arms: Iterable[str] | None = None,
    ) -> EscalationAdvice:
        """Return in which order to try arms until one succeeds.

        Args:
            task_type: the kind of task; one that nobody knows is answered from all runs.
            repo: its repository.
            success_value_usd: what a success is worth; default the var of that name. The answer is
                the plan of the largest success times this, less its cost.
            target_success: the share of all tasks that shall succeed, 0..1, instead of a value: the
                answer is the plan at the smallest value that reaches it, over the recent mix of
                task types.
            explore: how often, 0..1, to begin with one of the arms that may be as good instead.
            arms: what the host can use; default those that were seen.

        Raises:
            InvalidQueryError: an argument is none, or there is both a value and a target.
        """
        if success_value_usd is not None and target_success is not None:
            raise InvalidQueryError("give success_value_usd or target_success, not both")
        question = _question(task_type, repo, success_value_usd, arms, target_success)
        share = _checked_share("explore", explore)
        knowledge = self._current()
        basis = knowledge.basis(question)
        if basis is None:
            return EscalationAdvice(**figures_of(None), reason=_why_nothing(knowledge, question))
        found = knowledge.best_plan(question, basis)
        best = found.plan
        draw = _draw(best.arms[0], knowledge.worth_trying(question, basis), share)
        plan: Plan | None = best
        tried = best.arms
        if draw.arm != best.arms[0]:
            plan = knowledge.plan_from(question, basis, draw.arm)
            others = (arm for arm in best.arms if arm != draw.arm)
            tried = plan.arms if plan else (draw.arm, *others)[:LONGEST]
        return EscalationAdvice(
            **parts_of(basis.cell.get(draw.arm), draw.arm, knowledge.evidence.arm_kind),
            **figures_of(plan),
            probability=draw.shares[draw.arm],
            candidates=draw.shares,
            reference_arm=basis.choice.reference.arm,
            level=basis.level,
            abstained=False,
            reason=draw.note + reason_of_plan(best, basis.choice) + found.note + basis.note,
            policy_version=_policy(
                "escalation/1", knowledge, basis, target=target_success, explore=share
            ),
            as_of=knowledge.evidence.as_of,
            arms=tried,
            expected_attempts=plan.expected_attempts if plan else None,
            dependence=plan.dependence if plan else None,
            pair_runs=plan.pair_runs if plan else 0,
        )

    def evidence(self, task_type: str | None = None, repo: str | None = None) -> list[ArmEvidence]:
        """Return what is known of each arm where an answer would come from, by name.

        Args:
            task_type: the kind of task; None for all runs together.
            repo: its repository.
        """
        evidence = self._current().evidence
        kind = checked_text("task_type", task_type)
        for cell in ((checked_text("repo", repo), kind), (None, kind), (None, None)):
            if cell in evidence.arms:
                return list(evidence.arms[cell])
        return []

    @property
    def arm_kind(self) -> str:
        """What an arm is: `model_tier`, `pool_type` or `both`."""
        return self._current().evidence.arm_kind

    def runs_missing(self, arms: Iterable[str] | None = None) -> int:
        """Return about how many more runs of one arm there must be before any is recommended.

        Args:
            arms: what the host can use; default those that were seen.
        """
        return self._current().runs_missing(None if arms is None else _checked_names(arms))

    def close(self) -> None:
        """Let go of the publication; further calls are refused."""
        self._publications.close()

    def _current(self) -> Knowledge:
        try:
            opened = self._publications.current()
        except (NotPublishedError, HomeError) as error:
            return Knowledge(NOTHING, str(error))
        if opened is not self._opened:
            with self._lock:
                if opened is not self._opened:
                    with opened.cursor() as cursor:
                        self._knowledge = Knowledge(read_evidence(cursor))
                    self._opened = opened
        return self._knowledge


class Advising:
    """The same questions, asked from an event loop."""

    _recommender: Recommender

    async def recommend(
        self,
        task_type: str,
        repo: str | None = None,
        *,
        success_value_usd: float | None = None,
        explore: float = 0.0,
        arms: Iterable[str] | None = None,
    ) -> Recommendation:
        """Return which arm to give a task to; see `Recommender.recommend`."""
        return await asyncio.to_thread(
            self._recommender.recommend,
            task_type,
            repo,
            success_value_usd=success_value_usd,
            explore=explore,
            arms=arms,
        )

    async def recommend_escalation(
        self,
        task_type: str,
        repo: str | None = None,
        *,
        success_value_usd: float | None = None,
        target_success: float | None = None,
        explore: float = 0.0,
        arms: Iterable[str] | None = None,
    ) -> EscalationAdvice:
        """Return in which order to try arms; see `Recommender.recommend_escalation`."""
        return await asyncio.to_thread(
            self._recommender.recommend_escalation,
            task_type,
            repo,
            success_value_usd=success_value_usd,
            target_success=target_success,
            explore=explore,
            arms=arms,
        )


def reason_of(choice: Choice) -> str:
    """Return why the rule chose so, in one sentence; the macro `reason` says the same."""
    arm, reference, nearest = choice.arm.arm, choice.reference.arm, choice.nearest
    if choice.arm != choice.reference:
        return f"{arm} is worth {choice.gain:.2f} USD a task more than {reference}, the reference"
    if nearest:
        return (
            f"{arm} stays: {nearest.arm} looks {choice.nearest_gain:.2f} USD a task better, "
            f"which about {choice.nearest_runs_needed} more runs of each would settle"
        )
    if choice.compared == 1:
        return f"{arm} is the only arm with enough runs and reported costs"
    return f"{arm} is worth most of {choice.compared} arms"


def reason_of_plan(plan: Plan, choice: Choice) -> str:
    """Return what a plan rests on, in one sentence."""
    if len(plan.arms) == 1:
        return f"{plan.arms[0]} alone is worth most of {choice.compared} arms"
    return {
        "measured": f"later arms were seen after such failures {plan.pair_runs:,} times or more",
        "pooled": "later arms are taken to fail with the earlier as all pairs of arms do",
        "assumed": "how arms fail together is assumed, for too few tries after failures were seen",
    }[plan.dependence]


def _why_nothing(knowledge: Knowledge, question: Question) -> str:
    if not knowledge.evidence.arms:
        return knowledge.missing
    whose = "too few of the named arms have" if question.arms else "no arm has"
    return f"{whose} enough first tries and reported costs yet"


def _policy(rule: str, knowledge: Knowledge, basis: Basis, **asked: float | None) -> str:
    """Return the rule and what it was given, as it is recorded with a decision."""
    evidence = knowledge.evidence
    rules = evidence.rules
    if basis.value != evidence.success_value_usd:
        rules = re.sub(r"value=\S+", f"value={basis.value:.15g}", rules, count=1)
    return " ".join([rule, rules, *(f"{name}={said:g}" for name, said in asked.items() if said)])


def _question(
    task_type: object,
    repo: object,
    value: object,
    arms: object,
    target: object = None,
) -> Question:
    kind = checked_text("task_type", task_type)
    if kind is None:
        raise InvalidQueryError("task_type: expected a text, not None")
    return Question(
        kind,
        checked_text("repo", repo),
        _checked_number("success_value_usd", value, MAX_VALUE),
        None if arms is None else _checked_names(arms),
        _checked_number("target_success", target, 1),
    )


def _checked_names(arms: object) -> tuple[str, ...]:
    if isinstance(arms, str) or not isinstance(arms, Iterable):
        raise InvalidQueryError(f"arms: expected a list of names, not {type(arms).__name__}")
    names = {checked_text("arms", arm) for arm in arms}
    if not names or None in names:
        raise InvalidQueryError("arms: expected one name or more")
    return tuple(sorted(name for name in names if name is not None))


def _checked_number(name: str, value: object, most: float) -> float | None:
    if value is None:
        return None
    if not (_is_number(value) and 0 < value <= most):
        raise InvalidQueryError(f"{name}: expected a number above 0, up to {most:g}, not {value!r}")
    return float(value)


def _checked_share(name: str, value: object) -> float:
    if not (_is_number(value) and 0 <= value <= 1):
        raise InvalidQueryError(f"{name}: expected a share from 0 to 1, not {value!r}")
    return float(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class _Draw:
    """The arm that was drawn, and how likely each was."""

    arm: str
    shares: Mapping[str, float]
    note: str = ""


def _draw(chosen: str, worth_trying: Sequence[str], explore: float) -> _Draw:
    """Draw an arm: the chosen one, but so often any that is worth trying, each as likely."""
    if not explore or not worth_trying:
        return _Draw(chosen, {chosen: 1.0})
    shares = dict.fromkeys(worth_trying, explore / len(worth_trying))
    shares[chosen] = shares.get(chosen, 0.0) + 1 - explore
    drawn = chosen
    if random.random() < explore:  # noqa: S311  # no secret
        drawn = random.choice(worth_trying)  # noqa: S311  # no secret
    note = "" if drawn == chosen else f"{drawn} was drawn to learn more of it; "
    return _Draw(drawn, shares, note)
