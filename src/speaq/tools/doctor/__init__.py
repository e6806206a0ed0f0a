"""The doctor of data sets: it finds everything that is wrong with one, and writes a repaired copy.

The readers of ``speaq.data`` report to it; training stops at their first error. The modules, in the order of
the data flow: ``sources`` (which data sets), ``image_files``, ``duplicates`` and ``annotations`` (checks),
``systematic`` (arrays that are wrong as a whole), ``usable`` (what is without faults), ``check`` (all of one
data set), ``between`` (two data sets of a mix), ``report`` (for the terminal and as JSON), ``repair`` (the
copy), and ``count_tables`` (``speaq data stats``).
"""

from speaq.data.findings import Example, Finding
from speaq.tools.doctor.between import check_between
from speaq.tools.doctor.check import DatasetCheck, check_dataset
from speaq.tools.doctor.repair import (
    SETTINGS,
    describe_size,
    find_targets,
    list_changes,
    write_repaired,
    write_settings,
)
from speaq.tools.doctor.report import Report
from speaq.tools.doctor.sources import Source, find_sources, source_of_paths, sources_of_config

__all__ = [
    "SETTINGS",
    "DatasetCheck",
    "Example",
    "Finding",
    "Report",
    "Source",
    "check_between",
    "check_dataset",
    "describe_size",
    "find_sources",
    "find_targets",
    "list_changes",
    "source_of_paths",
    "sources_of_config",
    "write_repaired",
    "write_settings",
]
