"""Which data sets to check: those of a configuration, a folder, or the paths on the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from speaq.config import Config, load_config
from speaq.config.data import DatasetSection
from speaq.data.image_folders import SUFFIXES, ImageFolders
from speaq.data.parquet_rows import parquet_files
from speaq.data.vg_writer import DATASET_FILE
from speaq.errors import SpeaqError
from speaq.images import MAX_PIXELS

# The paths of a section, with the options that name them and the file names in the folder of a data set.
_PATHS = {
    "images": ("--images", ()),
    "image_data": ("--image-data", ("*image_data*.json",)),
    "mapping_dictionary": ("--mapping", ("*dict*.json",)),
    "vg_attribute_h5": ("--h5", ("*.h5", "*.hdf5")),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A data set: the name of its section under DATASETS, the section, and INPUT.MAX_PIXELS."""

    name: str
    section: DatasetSection
    max_pixels: int = MAX_PIXELS

    @property
    def images(self) -> ImageFolders:
        """Folders of the image files."""
        return ImageFolders(() if self.section.parquet else self.section.images)

    @property
    def image_data(self) -> Path:
        """The image list."""
        return Path(self.section.image_data)

    @property
    def dictionary(self) -> Path:
        """The class names."""
        return Path(self.section.mapping_dictionary)

    @property
    def annotations(self) -> Path:
        """The HDF5 file, or what names the Parquet files."""
        return Path(self.section.parquet or self.section.vg_attribute_h5)


def find_sources(
    arguments: Sequence[str], config_file: Path | None, named: Mapping[str, Path | None]
) -> list[Source]:
    """The data sets that a command line names.

    Args:
        arguments: KEY VALUE pairs where there is a configuration, else one folder (with dataset.yaml, or with
            one HDF5 file, two JSON files and a folder of images, or with Parquet files) or none.
        config_file: YAML configuration.
        named: paths by the fields of the section, None for those not given.

    Raises:
        SpeaqError: the command line names none, or names one in two ways; or a path is not set, does not
            exist, or has several candidates in the folder.
    """
    if config_file is not None:
        if any(path is not None for path in named.values()):
            raise SpeaqError(
                "--config-file names the data sets: change its paths with KEY VALUE, not options"
            )
        return sources_of_config(load_config(config_file, arguments))
    if len(arguments) > 1:
        raise SpeaqError(
            f"expected one folder, found {' '.join(arguments)}; KEY VALUE pairs belong to a --config-file"
        )
    folder = Path(arguments[0]) if arguments else None
    if folder is not None and not folder.is_dir():
        raise SpeaqError(f"{folder}: there is no such folder; name the folder of a data set")
    if folder is not None and (folder / DATASET_FILE).is_file() and not any(named.values()):
        return sources_of_config(load_config(folder / DATASET_FILE))
    if folder is not None and not any(named.values()) and parquet_files(folder):
        return [_in_folder({"parquet": str(folder)})]
    return _with_existing_paths(
        [_in_folder({field: str(named.get(field) or _find(folder, field)) for field in _PATHS})]
    )


def _in_folder(paths: dict[str, str]) -> Source:
    """A dataset without a configuration; training on it keeps all relations."""
    return Source("VISUAL_GENOME", DatasetSection.model_validate({**paths, "filter_non_overlap": False}))


def sources_of_config(config: Config) -> list[Source]:
    """The data sets for which the configuration has paths.

    Raises:
        SpeaqError: there is none, or some of its four paths is not set or does not exist.
    """
    datasets = config.datasets
    sections: dict[str, DatasetSection] = {
        "VISUAL_GENOME": datasets.visual_genome,
        "SYNTHETIC_GENOME": datasets.synthetic_genome,
        "VISUAL_GENOME_SYNTHETIC": datasets.visual_genome_synthetic,
        **datasets.multi_dataset.sources,
    }
    sources = [
        Source(name, section, config.input.max_pixels)
        for name, section in sections.items()
        if any(getattr(section, field) for field in ("parquet", *_PATHS))
    ]
    if not sources:
        raise SpeaqError(
            "the configuration names no data set: set IMAGES, IMAGE_DATA, MAPPING_DICTIONARY and "
            f"VG_ATTRIBUTE_H5, or PARQUET, in one of the sections {', '.join(sections)} of DATASETS"
        )
    return _with_existing_paths(sources)


def _with_existing_paths(sources: list[Source]) -> list[Source]:
    problems = []
    for source in sources:
        for field in () if source.section.parquet else _PATHS:
            value, key = getattr(source.section, field), f"DATASETS.{source.name}.{field.upper()}"
            kind, exists = ("folder", Path.is_dir) if field == "images" else ("file", Path.is_file)
            if not value:
                problems.append(f"{key} is not set")
            paths = [value] * bool(value) if isinstance(value, str) else value
            problems += [
                f"{path}: there is no such {kind} ({key})" for path in paths if not exists(Path(path))
            ]
    if problems:
        raise SpeaqError("\n  ".join([*problems, "correct these paths; no data set was checked"]))
    return sources


def _find(folder: Path | None, field: str) -> Path:
    """The one file (or folder of images) of a data set that a folder has."""
    option, patterns = _PATHS[field]
    if folder is None:
        raise SpeaqError(f"name the data set: a folder, --config-file, or also {option}")
    if field == "images":
        folders = [path for path in folder.iterdir() if path.is_dir()]
        found = [path for path in folders if any(file.suffix.lower() in SUFFIXES for file in path.iterdir())]
    else:
        found = [path for pattern in patterns for path in folder.glob(pattern)]
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in found)) or "none"
        raise SpeaqError(f"{folder}: expected one file or folder for {option}, found {names}; give {option}")
    return found[0]
