"""Capture hooks: what a host calls to say what happened."""

from orb_learning.capture._telemetry import CaptureStats, Telemetry

__all__ = ["CaptureStats", "Telemetry"]
