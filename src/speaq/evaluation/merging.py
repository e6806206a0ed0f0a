"""One file of predictions from those that several processes wrote."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from speaq.errors import SpeaqError
from speaq.evaluation.predictions import Predictions, PredictionWriter
from speaq.evaluation.scoring import check_images


def merge_predictions(
    parts: Sequence[str | Path], path: str | Path, *, image_ids: Sequence[int | str] | None = None
) -> None:
    """Join the files that several processes wrote for one data set.

    Args:
        parts: the files.
        path: the file to write.
        image_ids: the order to write in, that of the data set; by default part after part.

    Raises:
        SpeaqError: a part cannot be read or belongs to another model or data set, an image occurs twice, or
            the images are not those of ``image_ids``.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(Predictions(part, checked=False)) for part in parts]
        first, place = opened[0], {}
        for part in opened:
            if (part.dataset, part.vocabulary) != (first.dataset, first.vocabulary):
                raise SpeaqError(
                    f"{part.path}: expected predictions for {first.dataset} with the classes of "
                    f"{first.path}, found {part.dataset} or other classes; merge the parts of one evaluation"
                )
            for index, image_id in enumerate(part.image_ids):
                if image_id in place:
                    raise SpeaqError(
                        f"{part.path}: image {image_id} is in {place[image_id][0].path} too; "
                        "each image must be in one part"
                    )
                place[image_id] = part, index
        order = list(place) if image_ids is None else list(image_ids)
        check_images(order, list(place), f"what {len(parts)} parts hold for {path}")
        with PredictionWriter(
            path,
            vocabulary=first.vocabulary,
            dataset=first.dataset,
            predicate_counts=first.predicate_counts,
            half_precision=all(part.half_precision for part in opened),
        ) as writer:
            for image_id in order:
                part, index = place[image_id]
                writer.append(part[index], image_id=image_id, source=part.sources[index])
