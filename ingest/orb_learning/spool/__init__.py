"""The spool: segments of JSON lines that hooks append to and the loader reads."""

from orb_learning.spool._limits import MAX_LINE_BYTES, MAX_SEGMENT_BYTES
from orb_learning.spool._lines import behind_a_fragment, read_event
from orb_learning.spool._redaction import ERASED, Span, blank_segment
from orb_learning.spool._segments import (
    BLOCK_BYTES,
    MAX_READ_BYTES,
    Block,
    Line,
    Segment,
    open_segment,
    segment_names,
    segment_sizes,
)
from orb_learning.spool._writer import SpoolWriter

__all__ = [
    "BLOCK_BYTES",
    "ERASED",
    "MAX_LINE_BYTES",
    "MAX_READ_BYTES",
    "MAX_SEGMENT_BYTES",
    "Block",
    "Line",
    "Segment",
    "Span",
    "SpoolWriter",
    "behind_a_fragment",
    "blank_segment",
    "open_segment",
    "read_event",
    "segment_names",
    "segment_sizes",
]
