"""How long a line and how large a segment may be, for whoever writes or reads the spool."""

MAX_LINE_BYTES = 256 * 1024
"""Longest line that is written or read, its newline included."""

MAX_SEGMENT_BYTES = 64 * 1024 * 1024
LARGEST_SEGMENT_BYTES = 512 * 1024 * 1024
"""However large a host wants them; a loader ignores a file of twice that size."""
