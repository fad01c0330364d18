"""The command that answers: `recommend`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from orb_learning.cli._figures import cost_of, figures, in_turn, name_of, success_of
from orb_learning.cli._json import AsJson, print_json
from orb_learning.cli._options import say_if_new
from orb_learning.cli._show import out, print_table, shown
from orb_learning.home import Home

if TYPE_CHECKING:
    from orb_learning.serving import ArmEvidence, EscalationAdvice, Recommendation

app = typer.Typer()

WIDTH = 80

MOST_ARMS = 10
"""Arms that are shown: those of the answer, then those of the most success."""

VALUES = (1, 2, 5, 10, 20, 40, 80, 150, 300, 600, 1000)
"""What a success might be worth, USD, to find where the answer changes."""


@app.command()
def recommend(
    context: typer.Context,
    task_type: Annotated[str, typer.Argument(help="The kind of task, such as bug_fix.")],
    *,
    repo: Annotated[str | None, typer.Option(help="The repository it is in.")] = None,
    value: Annotated[
        float | None,
        typer.Option(
            metavar="USD",
            help="What a success is worth.",
            show_default="the var success_value_usd",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Choose among these only; repeat it for each.", show_default="all seen"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which arm to give a kind of task to, and which to try next where it fails.

    An arm is what a router chooses: a model tier, a pool, or both, as the var `routing_arm` says.

    `orb-learning recommend bug_fix --repo acme/api`
    """
    from orb_learning.serving import Recommender

    home: Home = context.obj
    say_if_new(home)
    recommender = Recommender(home.root)

    def plan_at(usd: float | None) -> EscalationAdvice:
        return recommender.recommend_escalation(task_type, repo, success_value_usd=usd, arms=arm)

    single = recommender.recommend(task_type, repo, success_value_usd=value, arms=arm)
    plan = plan_at(value)
    arms = recommender.evidence(task_type, repo)
    if as_json:
        print_json({"recommendation": single, "escalation": plan, "arms": arms})
        return
    known = {one.arm: one for one in arms}
    _print_lines(_answer(single, plan, known))
    if known:
        _print_arms(plan, known)
    if plan.arms:
        _print_lines(_what_would_change(single, plan, {usd: plan_at(usd).arms for usd in VALUES}))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        out.print(line, soft_wrap=False, width=WIDTH)


def _answer(
    single: Recommendation, plan: EscalationAdvice, arms: dict[str, ArmEvidence]
) -> Iterator[str]:
    """Yield the answer as sentences."""
    if not plan.arms:
        yield f"No answer yet: {shown(single.reason)}. Let the router's own rule decide."
        return
    yield f"Try {in_turn(plan.arms)}: {figures(plan)}."
    usual = arms[str(plan.reference_arm)]
    if plan.arms != (usual.arm,):
        yield f"The reference, {name_of(usual.arm)} alone: {figures(usual)}."
    if single.arm != usual.arm and plan.arms != (single.arm,):
        yield f"For one try: {name_of(str(single.arm))}, {figures(single)}."


def _print_arms(plan: EscalationAdvice, arms: dict[str, ArmEvidence]) -> None:
    first = [arms[name] for name in plan.arms if name in arms]
    others = sorted(
        (one for one in arms.values() if one not in first), key=lambda one: -one.success
    )
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("arm", "success", "USD a run"):
        table.add_column(heading, no_wrap=True)
    for heading in ("first tries", "costs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in [*first, *others][:MOST_ARMS]:
        table.add_row(
            name_of(one.arm),
            success_of(one),
            cost_of(one),
            f"{one.first_tries:,}",
            f"{one.costed:,}",
            "" if one.is_comparable else "too few",
        )
    out.print()
    print_table(table, WIDTH)
    if len(arms) > MOST_ARMS:
        out.print(f"and {len(arms) - MOST_ARMS:,} more arms; --json has them all")


def _what_would_change(
    single: Recommendation, plan: EscalationAdvice, plans: dict[int, tuple[str, ...]]
) -> Iterator[str]:
    """Yield what the answer rests on, and at which worth of a success it is another."""
    yield f"\nWhy: {shown(plan.reason)}."
    yield f"For one try: {shown(single.reason)}."
    told = {plan.arms}
    for usd, tried in plans.items():
        if tried not in told:
            yield f"If a success is worth {usd:,} USD: {in_turn(tried)}."
        told.add(tried)
    yield f"Evidence up to {plan.as_of}; rule {shown(plan.policy_version)}"
