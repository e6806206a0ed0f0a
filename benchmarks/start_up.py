"""Time of whole commands, which is mostly their start, beside an earlier version of speaq.

    git worktree add /tmp/earlier TAG
    python benchmarks/start_up.py --model demo/run --image demo/unseen.png --earlier /tmp/earlier/src

Versions alternate; the minimum and the median over the rounds are printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import SOURCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", help="without it, only the help is measured")
    parser.add_argument("--image")
    parser.add_argument("--earlier", type=Path, help="folder of the earlier version that contains speaq/")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    versions = {"now": SOURCE}
    if options.earlier:
        versions = {"earlier": options.earlier, **versions}
    with tempfile.TemporaryDirectory() as output:
        commands = {"speaq --help": ["--help"]}
        if options.model:
            predict = ["predict", options.image, "--model", options.model, "--output-dir", output]
            commands |= {"speaq predict": predict, "speaq predict --no-draw": [*predict, "--no-draw"]}
        print(f"{'':26}{'':9}{'min s':>7}{'median':>8}")
        for name, words in commands.items():
            times: dict[str, list[float]] = {version: [] for version in versions}
            for _ in range(options.rounds + 1):
                for version, source in versions.items():
                    start = time.perf_counter()
                    subprocess.run(
                        [sys.executable, "-m", "speaq", *words],
                        env={**os.environ, "PYTHONPATH": str(source)},
                        check=True,
                        capture_output=True,
                    )
                    times[version].append(time.perf_counter() - start)
            for version, values in times.items():
                values = values[1:]  # the first reads the files
                print(f"{name:26}{version:9}{min(values):7.2f}{statistics.median(values):8.2f}")


if __name__ == "__main__":
    main()
