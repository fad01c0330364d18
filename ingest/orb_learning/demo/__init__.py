"""A demonstration: a simulated agent orchestrator that drives the real hooks."""

from orb_learning.demo._simulation import Simulation, SimulationReport, simulate

__all__ = ["Simulation", "SimulationReport", "simulate"]
