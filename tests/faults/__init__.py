"""Trials of what may break at any moment: kills, full disks, damaged files, racing processes.

Each row of `rows.ROWS` is one kind of fault; one call is one trial, and its seed decides all of it.
`test_faults.py` runs a few of each, `run.py` the long counts, `soak.py` everything at once.
"""
