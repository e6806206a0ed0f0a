import json

import pytest

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.tools.data_check.sources import find_sources, sources_of_config


def test_sources_of_config_reads_and_validates_paths(damaged, tmp_path):
    damaged.write()
    section = damaged.source.section.model_dump(by_alias=True, mode="json")
    paths = {key: section[key] for key in ("IMAGES", "IMAGE_DATA", "MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5")}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"DATASETS": {"VISUAL_GENOME": paths, "VISUAL_GENOME_SYNTHETIC": paths}}))
    sources = sources_of_config(load_config(file))
    assert [source.name for source in sources] == ["VISUAL_GENOME", "VISUAL_GENOME_SYNTHETIC"]
    with pytest.raises(SpeaqError, match=r"there is no such file \(DATASETS.VISUAL_GENOME.IMAGE_DATA\)"):
        sources_of_config(load_config(file, ["DATASETS.VISUAL_GENOME.IMAGE_DATA", "gone.json"]))
    with pytest.raises(SpeaqError, match=r"SYNTHETIC_GENOME.IMAGES is not set"):
        sources_of_config(load_config(file, ["DATASETS.SYNTHETIC_GENOME.IMAGE_DATA", "gone.json"]))
    with pytest.raises(SpeaqError, match="names no data set"):
        sources_of_config(load_config())


def test_find_sources_finds_the_files_of_a_folder(damaged, tmp_path):
    damaged.write()
    folder = [str(damaged.folder)]
    (source,) = find_sources(folder, None, {})
    assert (source.annotations.name, source.dictionary.name) == ("VG.h5", "dicts.json")
    (damaged.folder / "other.h5").write_bytes(b"")
    with pytest.raises(SpeaqError, match=r"found VG.h5, other.h5; give --h5"):
        find_sources(folder, None, {})
    named = find_sources(folder, None, {"vg_attribute_h5": damaged.folder / "VG.h5"})
    assert named == [source]
    with pytest.raises(SpeaqError, match="also --images"):
        find_sources([], None, {})
    with pytest.raises(SpeaqError, match="no such folder"):
        find_sources([str(tmp_path / "none")], None, {})
