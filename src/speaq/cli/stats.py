"""``speaq data stats``."""

from pathlib import Path

from cyclopts.types import NonNegativeInt


def stats(
    *arguments: str,
    config_file: Path | None = None,
    images: Path | None = None,
    image_data: Path | None = None,
    mapping: Path | None = None,
    h5: Path | None = None,
    csv: Path | None = None,
    top: NonNegativeInt = 20,
) -> None:
    """Print how often images, boxes, relations, classes and triplets occur in a data set.

    The contents of the files are counted as they are; no FILTER_ setting is applied.

    Args:
        arguments: folder of a data set; with --config-file, KEY VALUE pairs that override it.
        config_file: YAML configuration; every data set under DATASETS that has paths is counted.
        images: folder of the images.
        image_data: JSON list of the images.
        mapping: JSON of the class names.
        h5: HDF5 annotations.
        csv: also write the complete tables to this folder.
        top: rows of the tables of classes and triplets to print.
    """
    from rich.text import Text

    from speaq.console import PlainConsole
    from speaq.tools.data_check.counts import count_source
    from speaq.tools.data_check.sources import find_sources

    named = {"images": images, "image_data": image_data, "mapping_dictionary": mapping, "vg_attribute_h5": h5}
    sources = find_sources(arguments, config_file, named)
    console = PlainConsole()
    for source in sources:
        console.print(Text.assemble((source.name, "bold"), f"  {source.annotations}"), soft_wrap=True)
        for table in count_source(source):
            console.print(table.as_rich(top), "")
            if csv is not None:
                folder = csv if len(sources) == 1 else csv / source.name.lower()
                table.save(folder / f"{table.name}.csv")
