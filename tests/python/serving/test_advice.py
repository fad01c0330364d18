"""What a recommender answers goes into a routing decision as it is."""

from __future__ import annotations

from orb_learning import Telemetry
from orb_learning.serving import EscalationAdvice, Recommendation
from orb_learning.serving._answers import NO_FIGURES, parts_of

CHOSEN = Recommendation(
    **NO_FIGURES,
    reason="small is worth most of 2 arms",
    model_tier="small",
    probability=0.95,
    candidates={"small": 0.95, "large": 0.05},
    reference_arm="large",
    level="repo",
    abstained=False,
    policy_version="safe_gain/1 value=40",
    arm="small",
)


def test_a_decision_takes_the_arm_its_odds_and_the_rule(telemetry: Telemetry) -> None:
    decision = telemetry.capture_routing_decision_sync(CHOSEN, task_id="t", task_type="fix")
    assert decision is not None
    assert (decision.model_tier, decision.propensity) == ("small", 0.95)
    assert decision.candidates == {"small": 0.95, "large": 0.05}
    assert decision.policy_version == "safe_gain/1 value=40"
    # Expectations are not what happened.
    assert decision.metadata == {"task_ref": "t"}


def test_a_plan_is_recorded_by_its_first_arm(telemetry: Telemetry) -> None:
    plan = EscalationAdvice(
        **NO_FIGURES, reason="", model_tier="small", probability=1.0, arms=("small", "large")
    )
    decision = telemetry.capture_routing_decision_sync(plan, task_id="t", task_type="fix")
    assert decision is not None
    assert (decision.model_tier, decision.propensity) == ("small", 1.0)


def test_what_abstains_leaves_the_decision_to_the_host(telemetry: Telemetry) -> None:
    nothing = Recommendation(**NO_FIGURES, reason="nothing is published")
    decision = telemetry.capture_routing_decision_sync(nothing, task_id="t", model_tier="large")
    assert decision is not None
    assert (decision.model_tier, decision.propensity, decision.candidates) == ("large", None, None)


def test_an_arm_that_nobody_has_seen_names_its_parts() -> None:
    assert parts_of(None, "a || b | c||d", "both") == {"model_tier": "a | b", "pool_type": "c|d"}
    assert parts_of(None, "a | b", "model_tier") == {"model_tier": "a | b", "pool_type": None}
    assert parts_of(None, "a", "pool_type") == {"model_tier": None, "pool_type": "a"}
