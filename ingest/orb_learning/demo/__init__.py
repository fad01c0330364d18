"""A demonstration: a simulated agent orchestrator that drives the real hooks."""

from orb_learning.demo._home import Mark, adding_history, clear
from orb_learning.demo._learning import Learner, Week, weeks_of
from orb_learning.demo._simulation import Simulation, SimulationReport, simulate

__all__ = [
    "Learner",
    "Mark",
    "Simulation",
    "SimulationReport",
    "Week",
    "adding_history",
    "clear",
    "simulate",
    "weeks_of",
]
