"""Images per second of `speaq predict`, alone and with workers of a Ray cluster of this machine.

    pip install "speaq[ray]"
    python benchmarks/cluster.py demo/dataset/VG_100K --model demo/run --workers 1 2

Each run is a process of its own with one thread per model. Its rate is that between the first and the last
shard; starting Ray, importing torch and loading the model are in the total time alone. The results of all
runs are compared byte for byte.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARD = 50


def measure(sources: Path, model: str, out: Path, *options: str) -> tuple[float, float, bytes]:
    """Images per second between the first and the last shard, seconds in all, and all lines."""
    command = [sys.executable, "-m", "speaq", "predict", str(sources), "--model", model, "--quiet"]
    command += ["--output-dir", str(out), "--shard-size", str(SHARD), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    shards = sorted(out.glob("graphs-*.jsonl"))
    times = sorted(path.stat().st_mtime for path in shards)
    return SHARD * (len(times) - 1) / (times[-1] - times[0]), seconds, b"".join(map(Path.read_bytes, shards))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("images", type=Path, help="folder")
    parser.add_argument("--model", required=True)
    parser.add_argument("--number", type=int, default=1000, help="images of the folder that are used")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    images = sorted(options.images.glob("*.jpg"))[: options.number]
    runs = {"speaq predict": []}
    for workers in options.workers:
        runs[f"--engine ray --workers {workers}"] = ["--engine", "ray", "--workers", str(workers)]
    print(f"{len(images)} images{'':22} images/s  seconds in all")
    lines = set()
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "images.txt"
        sources.write_text("".join(f"{path.resolve()}\n" for path in images))
        for name, words in runs.items():
            rate, seconds, content = measure(sources, options.model, Path(folder) / name, *words)
            lines.add(content)
            print(f"{name:32} {rate:8.1f} {seconds:15.1f}", flush=True)
    print("the results are the same" if len(lines) == 1 else "THE RESULTS DIFFER")


if __name__ == "__main__":
    main()
