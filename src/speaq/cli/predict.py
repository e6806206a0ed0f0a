"""``speaq predict``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def predict(
    images: Annotated[list[Path], Parameter(consume_multiple=True)],
    *,
    model: str,
    output_dir: Path = Path("predictions"),
    top: int = 10,
    score: float = 0.0,
    draw: bool = True,
    device: str = "cpu",
) -> None:
    """Print the scene graph of images, and write each as JSON and as a picture.

    Args:
        images: image files, or folders of them.
        model: folder of a saved model, output folder of a training, or a model id on the hub.
        output_dir: where <image name>.json and <image name>.png are written.
        top: how many triplets of each image to print and draw, best first.
        score: leave out triplets with a lower score.
        draw: also write the picture.
        device: cpu, cuda, cuda:1, ...
    """
    from speaq.inference.predictor import predict_each
    from speaq.model.speaq import Speaq

    network = Speaq.from_pretrained(model, device=device)
    for path, graph in predict_each(network, images):
        best = graph.filter(score=score, top=top)
        lines = [f"{path}: {len(graph)} relations, the best {len(best)}:"]
        lines += [f"  {triplet}" for triplet in best.triplets]
        graph.to_json(output_dir / f"{path.stem}.json")
        if draw:
            best.draw(output_dir / f"{path.stem}.png")
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.write(f"written to {output_dir}\n")
