"""What one publication says to a question: where the answer rests, which choice, which plan."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from orb_learning.serving._choice import Choice, choose, reference_of
from orb_learning.serving._escalation import WORTHS, Pairs, Plan, plans
from orb_learning.serving._evidence import ArmEvidence, Evidence

K = TypeVar("K")
V = TypeVar("V")

MOST_ANSWERS = 10_000
"""Answers that are kept; what differs only in the draw is one."""

MOST_MENUS = 100
"""Lists of all plans of a cell that are kept; each is of up to 1,464."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, checked; two that are equal have the same answer but for the draw."""

    task_type: str
    repo: str | None
    value: float | None
    arms: tuple[str, ...] | None
    target: float | None


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer rests on.

    Attributes:
        level: `repo`, `task_type` or `everything`.
        repo: the cell's repository; None above it.
        kind: the cell's task type; None where it is everything.
        cell: the arms that may be taken, as they are known there.
        choice: the rule's.
        value: USD that a success is worth.
        note: what to say where the level is not the one that was asked for.
    """

    level: str
    repo: str | None
    kind: str | None
    cell: Mapping[str, ArmEvidence]
    choice: Choice
    value: float
    note: str

    @property
    def comparable(self) -> list[ArmEvidence]:
        """The arms that enough is known of to plan with them."""
        return [arm for arm in self.cell.values() if arm.is_comparable]


@dataclass(frozen=True, slots=True)
class BestPlan:
    """The plan that a question asks for.

    Attributes:
        plan: the arms and what they come to.
        note: what to say of it beside its figures.
        value: the USD a success at which it is the best; with a target, the ones that reach it.
    """

    plan: Plan
    note: str
    value: float


class Knowledge:
    """The evidence of one publication, and what was answered from it."""

    def __init__(self, evidence: Evidence, missing: str = "") -> None:
        """Keep the evidence.

        Args:
            evidence: all of it.
            missing: why there is none.
        """
        self.evidence = evidence
        self.missing = missing or "the publication knows no arms yet; run `orb-learning refresh`"
        self._bases: dict[Question, Basis] = {}
        self._plans: dict[Question, BestPlan] = {}
        self._menus: dict[tuple[object, ...], list[Plan]] = {}

    def basis(self, question: Question) -> Basis | None:
        """Return what the answer rests on; None where too little is known to answer."""
        basis = self._bases.get(question) or _basis(self.evidence, question)
        if basis:
            _keep(self._bases, question, basis, MOST_ANSWERS)
        return basis

    def worth_trying(self, question: Question, basis: Basis) -> tuple[str, ...]:
        """Return the arms that may be as good, with those the host named and nobody has seen."""
        seen = {arm.arm for arm in self.evidence.arms[None, None]}
        unseen = set(question.arms or ()) - seen
        return tuple(sorted({*basis.choice.worth_trying, *unseen}))

    def best_plan(self, question: Question, basis: Basis) -> BestPlan:
        """Return the plan that is asked for."""
        if found := self._plans.get(question):
            return found
        value, note = basis.value, ""
        if question.target is not None:
            value, reached = self._value_that_reaches(question, question.target)
            if reached < question.target:
                note = f"; no plans reach {question.target:.1%}, these {reached:.1%}"
        best = min(self._menu(question, basis), key=lambda plan: plan.rank(value))
        found = BestPlan(best, note, value)
        _keep(self._plans, question, found, MOST_ANSWERS)
        return found

    def plan_from(self, question: Question, basis: Basis, first: str) -> Plan | None:
        """Return the best plan that begins with an arm; None where too little is known of it."""
        if first not in basis.cell or not basis.cell[first].is_comparable:
            return None
        menu = [plan for plan in self._menu(question, basis) if plan.arms[0] == first]
        if not menu:
            menu = list(plans(basis.comparable, self._pairs(basis.kind), first))
        value = self.best_plan(question, basis).value
        return min(menu, key=lambda plan: plan.rank(value))

    def runs_missing(self, names: tuple[str, ...] | None) -> int:
        """Return about how many more runs of one arm there must be before any is recommended."""
        least = re.search(r"min=(\d+),(\d+)", self.evidence.rules)
        tries, costs = map(int, least.groups()) if least else (1, 1)
        arms = _named(self.evidence.arms.get((None, None), ()), names)
        return min(
            (max(tries - arm.first_tries, costs - arm.costed, 1) for arm in arms), default=tries
        )

    def _value_that_reaches(self, question: Question, target: float) -> tuple[float, float]:
        """Return the smallest worth whose plans reach a success, over the recent mix of types.

        Returns:
            the worth, and the success that its plans state; of the largest if none reaches it.
        """
        asked = (replace(question, task_type=kind, repo=None) for kind in self.evidence.task_types)
        bases = [(each, basis) for each in asked if (basis := self.basis(each))]
        menus = [_frontier(self._menu(each, basis)) for each, basis in bases]
        tries = [
            sum(arm.effective_tries for arm in self.evidence.arms[None, basis.kind])
            for _, basis in bases
        ]
        if not any(tries):  # all too old to have any weight left
            tries = [1.0] * len(tries)
        for value in WORTHS:
            stated = [min(menu, key=lambda plan: plan.rank(value)).success for menu in menus]
            reached = sum(map(operator.mul, stated, tries)) / sum(tries)
            if reached >= target:
                break
        return value, reached

    def _menu(self, question: Question, basis: Basis) -> list[Plan]:
        """Return every plan of the cell that the answer rests on."""
        key = (basis.repo, basis.kind, question.arms)
        menu = self._menus.get(key) or list(plans(basis.comparable, self._pairs(basis.kind)))
        _keep(self._menus, key, menu, MOST_MENUS)
        return menu

    def _pairs(self, kind: str | None) -> Pairs:
        return self.evidence.pairs.get(kind) or self.evidence.pairs.get(None, {})


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    if key not in kept and len(kept) >= most:
        kept.clear()
    kept[key] = value


def _basis(evidence: Evidence, question: Question) -> Basis | None:
    names, value = question.arms, question.value or evidence.success_value_usd
    everything = _named(evidence.arms.get((None, None), ()), names)
    # With few of a host's arms known, the first that is would be all there is to recommend.
    if names is not None and 2 * sum(arm.is_comparable for arm in everything) < len(names):
        return None
    reference = reference_of(everything, value)
    if reference is None:
        return None
    kind, repo = question.task_type, question.repo
    cell: tuple[str | None, str | None]
    if repo is not None and (repo, kind) in evidence.arms:
        level, cell, note = "repo", (repo, kind), ""
    elif (None, kind) in evidence.arms:
        level, cell = "task_type", (None, kind)
        note = f"; nothing is known of {kind} in {repo}, so this is of {kind} anywhere"
        note = note if repo else ""
    else:
        level, cell = "everything", (None, None)
        note = f"; nothing is known of {kind}, so this is of all runs"
    arms = _named(evidence.arms[cell], names)
    choice = choose(arms, reference, value)
    repo_of_cell, kind_of_cell = cell
    return Basis(
        level, repo_of_cell, kind_of_cell, {arm.arm: arm for arm in arms}, choice, value, note
    )


def _named(arms: Sequence[ArmEvidence], names: tuple[str, ...] | None) -> list[ArmEvidence]:
    return [arm for arm in arms if names is None or arm.arm in names]


def _frontier(menu: Iterable[Plan]) -> list[Plan]:
    """Return the plans that are best at any worth: of more success than every cheaper one."""
    best: list[Plan] = []
    for plan in sorted(menu, key=lambda plan: (plan.cost, -plan.success, plan.arms)):
        if not best or plan.success > best[-1].success:
            best.append(plan)
    return best
