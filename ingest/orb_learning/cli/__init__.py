"""The command line: every command is one library call and a way to show its result."""

from orb_learning.cli._app import app, main

__all__ = ["app", "main"]
