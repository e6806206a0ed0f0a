"""What this machine can do at most: products per second and bytes per second, as PyTorch reaches them.

    python benchmarks/machine.py --threads 1

Matrices of 2048 x 2048. PyTorch multiplies float32 matrices with MKL, and convolves and multiplies bfloat16
matrices with oneDNN. The bandwidth is that of a copy of 512 MB, read and written.
"""

import argparse

import torch

from measuring import shortest

SIZE = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    a, b = torch.randn(2, SIZE, SIZE)
    pixels = a.t().reshape(1, SIZE, SIZE, 1).contiguous(memory_format=torch.channels_last)
    kernel = b[:, :, None, None].contiguous(memory_format=torch.channels_last)
    c, d = a.bfloat16(), b.bfloat16()
    with torch.inference_mode():
        products = {
            "float32, MKL": lambda: a @ b,
            "float32, oneDNN": lambda: torch.nn.functional.conv2d(pixels, kernel, dilation=2),
            "bfloat16, oneDNN": lambda: c @ d,
        }
        for name, product in products.items():
            rate = 2 * SIZE**3 / shortest(product, 7, options.threads) / 1e6
            print(f"{name}: {rate:.0f} GFLOP/s")
        source = torch.zeros(128 * 2**20)
        target = torch.empty_like(source)
        copy = shortest(lambda: target.copy_(source), 7, options.threads)
    print(f"copy: {2 * 4 * source.numel() / copy / 1e6:.1f} GB/s")


if __name__ == "__main__":
    main()
