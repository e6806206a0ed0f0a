"""What this machine can do at most: products per second and bytes per second, as PyTorch reaches them.

    python benchmarks/machine.py --threads 1

Matrices of 2048 x 2048. PyTorch multiplies float32 matrices with MKL, and convolves and multiplies bfloat16
matrices with oneDNN. The bandwidth is that of a copy of 512 MB, read and written.
"""

import argparse
import time
from collections.abc import Callable

import torch

SIZE = 2048


def best(call: Callable[[], object], repeats: int = 7) -> float:
    """The shortest time of a call in seconds, after one to warm up; with one thread that of the CPU."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    call()
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    a, b = torch.randn(2, SIZE, SIZE)
    pixels = a.t().reshape(1, SIZE, SIZE, 1).contiguous(memory_format=torch.channels_last)
    kernel = b[:, :, None, None].contiguous(memory_format=torch.channels_last)
    c, d = a.bfloat16(), b.bfloat16()
    with torch.inference_mode():
        products = {
            "float32, MKL": best(lambda: a @ b),
            "float32, oneDNN": best(lambda: torch.nn.functional.conv2d(pixels, kernel, dilation=2)),
            "bfloat16, oneDNN": best(lambda: c @ d),
        }
        source = torch.zeros(128 * 2**20)
        target = torch.empty_like(source)
        copy = best(lambda: target.copy_(source))
    for name, seconds in products.items():
        print(f"{name}: {2 * SIZE**3 / seconds / 1e9:.0f} GFLOP/s")
    print(f"copy: {2 * 4 * source.numel() / copy / 1e9:.1f} GB/s")


if __name__ == "__main__":
    main()
