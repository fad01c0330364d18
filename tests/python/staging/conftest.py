"""Fixtures of several folders; pytest finds them here."""

from stores import hold, pool, spool, staging

__all__ = ["hold", "pool", "spool", "staging"]
