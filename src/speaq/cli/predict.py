"""``speaq predict``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from speaq.errors import SpeaqError


def predict(
    images: Annotated[list[Path], Parameter(consume_multiple=True)],
    *,
    model: str,
    output_dir: Path = Path("predictions"),
    top: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 10,
    score: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.05,
    draw: bool = True,
    device: str = "cpu",
) -> None:
    """Print the scene graph of images, and write each as JSON and as a picture.

    Args:
        images: image files, or folders of them.
        model: folder of a saved model, output folder of a training, or a model id on the hub.
        output_dir: where <image name>.json and <image name>.png are written; not a folder of the images.
        top: how many triplets of each image to print and draw, best first.
        score: leave out triplets with a lower score; the JSON has all of them.
        draw: also write the picture.
        device: cpu, cuda, cuda:1, ...
    """
    from speaq.devices import find_device
    from speaq.inference.images import iterate_sources
    from speaq.inference.predictor import predict_each
    from speaq.model.speaq import Speaq

    files = [Path(source) for source in iterate_sources(images) if isinstance(source, str | Path)]
    _check_names(files, output_dir)
    network = Speaq.from_pretrained(model, device=find_device(device))
    for path, graph in predict_each(network, files):
        best = graph.filter(score=score, top=top)
        lines = [f"{path}: {len(graph)} relations, the best {len(best)}:"]
        lines += [f"  {triplet}" for triplet in best.triplets]
        graph.to_json(output_dir / f"{path.stem}.json")
        if draw:
            graph.draw(output_dir / f"{path.stem}.png", top=top, score=score)
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(f"written to {output_dir}\n")


def _check_names(images: list[Path], output_dir: Path) -> None:
    """What is written must replace neither an image nor what is written for another image.

    Raises:
        SpeaqError: it would.
    """
    written: dict[str, Path] = {}
    for path in images:
        if path.parent.resolve() == output_dir.resolve():
            raise SpeaqError(f"--output-dir {output_dir}: {path} is in this folder; write to another one")
        other = written.setdefault(path.stem, path)
        if other.resolve() != path.resolve():
            raise SpeaqError(
                f"{other} and {path}: both would be written to {output_dir / path.stem}.json; predict them "
                "one after the other, each with its own --output-dir"
            )
