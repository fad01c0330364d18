"""Hosts' own objects, recorded as they work: any router, pool manager or bus of the right shape.

`orb_learning.hosts.bus` loads asyncio, so it is imported where it is used.
"""

from orb_learning.hosts._instrument import (
    Instrumentation,
    instrument_pool_manager,
    instrument_router,
)
from orb_learning.hosts._pairing import Pairing
from orb_learning.hosts.protocols import Message, MessageBus, PoolManager, Router

__all__ = [
    "Instrumentation",
    "Message",
    "MessageBus",
    "Pairing",
    "PoolManager",
    "Router",
    "instrument_pool_manager",
    "instrument_router",
]
