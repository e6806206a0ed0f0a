"""The doctor of data sets: everything that is wrong with one, and a repaired copy.

The strict readers of ``speaq.data`` stop at the first mistake; these go on where they can. The modules, in
the order in which data flows: ``sources`` (which data sets), ``findings`` (what is collected), ``json_file``,
``dictionary``, ``image_list``, ``arrays`` and ``ranges`` (reading), ``image_files``, ``duplicates``,
``boxes`` and ``relations`` (checking), ``systematic`` (arrays wrong as a whole), ``salvage`` (what can be
used), ``counts``, ``dataset`` (all of one data set), ``between`` (two sets of a mix), ``report`` (words and
JSON), ``target`` (where a copy may go), and ``repair`` (the copy).
"""

from speaq.tools.doctor.between import check_between
from speaq.tools.doctor.dataset import DatasetCheck, check_dataset
from speaq.tools.doctor.findings import Example, Finding
from speaq.tools.doctor.repair import describe_size, list_changes, write_repaired, write_settings
from speaq.tools.doctor.report import Report
from speaq.tools.doctor.sources import Source, find_sources, source_of_paths, sources_of_config
from speaq.tools.doctor.target import SETTINGS, find_targets

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
