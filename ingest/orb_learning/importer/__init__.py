"""Importing finished executions from files of any usual format.

Rows become `execution_recorded` events in the spool, so an import needs no lock and loads like
anything else. An event's id is derived from its row, so importing a file twice changes nothing.
"""

from orb_learning.importer._exported import DERIVED_COLUMNS
from orb_learning.importer._importing import ImportReport, import_files
from orb_learning.importer._mapping import FieldMap
from orb_learning.importer._presets import PRESETS, Preset, preset_named

__all__ = [
    "DERIVED_COLUMNS",
    "PRESETS",
    "FieldMap",
    "ImportReport",
    "Preset",
    "import_files",
    "preset_named",
]
