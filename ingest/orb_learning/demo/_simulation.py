"""The simulation's parameters, its report, and the one call that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import uuid5

from orb_learning._telemetry import Telemetry
from orb_learning._types import NAMESPACE
from orb_learning.demo._clock import Timeline
from orb_learning.demo._learning import Learner
from orb_learning.demo._orchestrator import Orchestrator
from orb_learning.demo._world import POOLS


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate.

    Attributes:
        tasks: how many tasks are routed, at least 1.
        days: over how many days, at least 1.
        seed: equal seeds give equal figures.
    """

    tasks: int = 20_000
    days: int = 30
    seed: int = 7


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What was simulated.

    Attributes:
        tasks: original tasks, all of which have events.
        attempts: executions of tasks, retries included.
        failures: attempts that ended without success.
        duplicates_sent: events sent a second time.
        late_events: events that arrived hours or days after they occurred.
        feedback: judgements given.
        pending: tasks whose last attempt never ended.
        pools: worker pools that were created.
    """

    tasks: int
    attempts: int
    failures: int
    duplicates_sent: int
    late_events: int
    feedback: int
    pending: int
    pools: int


async def simulate(
    telemetry: Telemetry,
    simulation: Simulation,
    *,
    until: datetime,
    on_progress: Callable[[int], None] | None = None,
    learner: Learner | None = None,
) -> SimulationReport:
    """Simulate an agent orchestrator that drives the hooks, as fast as they allow.

    Equal simulations with equal `until` send equal events in equal order, so that a repetition
    into the same home adds nothing. Only `captured_at` is the real time.

    Args:
        telemetry: the hooks to drive.
        simulation: what to simulate.
        until: the aware end of the simulated period; everything occurs before it.
        on_progress: called now and then with the number of tasks done since the last call.
        learner: what the router asks from the middle of the period on, after it has learned from
            what the hooks wrote so far; None leaves the router to its own rule.

    Raises:
        ValueError: `until` is naive, or `tasks` or `days` is below 1.
    """
    if until.tzinfo is None:
        raise ValueError(f"until must be timezone-aware, and {until.isoformat()} is not")
    if simulation.tasks < 1 or simulation.days < 1:
        raise ValueError(f"a simulation needs at least one task and one day, not {simulation}")
    until = until.astimezone(UTC)
    namespace = uuid5(NAMESPACE, f"{simulation} until {until.isoformat()}")
    timeline = Timeline(until, simulation.days, simulation.tasks, namespace)
    orchestrator = Orchestrator(telemetry, timeline, simulation.seed, learner)
    await orchestrator.run(simulation.tasks, on_progress)
    return SimulationReport(
        **asdict(orchestrator.tally),
        duplicates_sent=orchestrator.outbox.duplicates_sent,
        late_events=orchestrator.outbox.late_events,
        pools=len(POOLS),
    )
