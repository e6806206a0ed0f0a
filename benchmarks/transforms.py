"""Time to read and augment a training image, beside plain Pillow.

    python benchmarks/transforms.py

The image is a JPEG file of 800 x 600 pixels, noise on a smooth pattern, with 20 boxes and 20 relations. Both
read it, resize it to the same size, and make a tensor (3, H, W); ours also makes the target of the loss.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from measuring import shortest
from speaq.config.data import Crop, Input
from speaq.data.dataset import Sample
from speaq.data.transforms import Scene, TrainTransform
from speaq.images import read_image_file
from speaq.structures import Annotation, Vocabulary

WIDTH, HEIGHT = 800, 600


def photo() -> bytes:
    """The content of the JPEG file."""
    rng = np.random.default_rng(0)
    pattern = Image.fromarray(rng.integers(0, 256, (75, 100, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT))
    noisy = np.asarray(pattern) + rng.normal(0, 8, (HEIGHT, WIDTH, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def annotation() -> Annotation:
    """Random boxes and relations of the image."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((20, 2, 2)), axis=1).reshape(20, 4) * (WIDTH, HEIGHT, WIDTH, HEIGHT)
    return Annotation(
        image_id=1,
        path=Path("1.jpg"),
        width=WIDTH,
        height=HEIGHT,
        boxes=corners.astype(np.float32),
        labels=rng.integers(0, 150, 20),
        relations=np.column_stack((rng.integers(0, 20, (20, 2)), rng.integers(0, 50, 20))),
    )


def plain(content: bytes, size: tuple[int, int]) -> torch.Tensor:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image = image.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--edges", type=int, nargs="+", default=[480, 640, 800], help="shortest edges")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    content, truth = photo(), annotation()
    vocabulary = Vocabulary(tuple(map(str, range(150))), tuple(map(str, range(50))))
    decode = shortest(lambda: read_image_file(content), options.repeats, options.threads)
    print(
        f"decode {decode:.2f} ms\n{'edge':>6}{'plain ms':>10}{'ours ms':>10}{'ratio':>7}  largest difference"
    )
    for edge in options.edges:
        settings = Input(min_size_train=(edge,), random_flip="none", crop=Crop(enabled=False))
        transform = TrainTransform(settings, vocabulary)

        def sample(transform: TrainTransform = transform) -> Sample:
            scene = Scene.of(read_image_file(content), truth)
            return Sample.of(transform(scene, np.random.default_rng(0)), truth)

        image = sample().image
        size = image.shape[2], image.shape[1]
        difference = (image.int() - plain(content, size).int()).abs().max().item()
        before = shortest(lambda size=size: plain(content, size), options.repeats, options.threads)
        now = shortest(sample, options.repeats, options.threads)
        print(f"{edge:6}{before:10.2f}{now:10.2f}{before / now:7.2f}  {difference}")


if __name__ == "__main__":
    main()
