"""Time to read an image at random, from a folder and from Parquet files with groups of several sizes.

    python benchmarks/parquet_images.py

2,000 JPEGs of 800 x 600 are generated in a temporary folder, in one file for each size of the groups.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from PIL import Image

from speaq.config.data import DatasetSection
from speaq.data.parquet_images import ParquetImages
from speaq.images import read_image_file

BOX = [10.0, 10.0, 50.0, 50.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 10, 100, 1000])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    draws = rng.integers(options.images, size=options.draws).tolist()
    objects = [{"category": name, "bbox": BOX} for name in ("man", "hat")]
    relations = [{"subject": 0, "object": 1, "predicate": "on"}]
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), []
        (folder / "names.json").write_text(
            '{"label_to_idx": {"man": 1, "hat": 2}, "predicate_to_idx": {"on": 1}}'
        )
        for number in range(options.images):
            noise = Image.fromarray(rng.integers(0, 256, (75, 100, 3), np.uint8)).resize((800, 600))
            content = io.BytesIO()
            noise.save(content, "JPEG", quality=90)
            (folder / f"{number}.jpg").write_bytes(content.getvalue())
            row = {
                "image_id": number,
                "width": 800,
                "height": 600,
                "objects": objects,
                "relations": relations,
            }
            rows.append({**row, "image": {"bytes": content.getvalue(), "path": None}})
        size = sum(len(row["image"]["bytes"]) for row in rows) / len(rows) / 1e3
        start = time.perf_counter()
        for index in draws:
            read_image_file(folder / f"{index}.jpg")
        print(f"folder: {(time.perf_counter() - start) / len(draws) * 1e3:.1f} ms an image of {size:.0f} kB")
        for group in options.groups:
            path = folder / "train.parquet"
            parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
            section = DatasetSection(
                parquet=str(path),
                mapping_dictionary=str(folder / "names.json"),
                filter_non_overlap=False,
                number_of_validation_images=0,
            )
            dataset = ParquetImages(section, "train")
            start = time.perf_counter()
            for index in draws:
                dataset.read(index)
            print(f"groups of {group}: {(time.perf_counter() - start) / len(draws) * 1e3:.1f} ms an image")


if __name__ == "__main__":
    main()
