"""One training or evaluation sample: image, augmentation, target.

N: boxes, M: relations of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from speaq.data.long_tail import BilevelResampling
from speaq.data.randomness import Purpose, generator
from speaq.data.sampling import Draw
from speaq.data.targets import build_target
from speaq.data.transforms import Scene, TestTransform, TrainTransform, keep_boxes
from speaq.data.visual_genome import VisualGenome
from speaq.structures import Annotation, Target


@dataclass(slots=True)
class Sample:
    """One image, ready to be batched.

    Attributes:
        image: (3, h, w) uint8, RGB.
        target: what to find in it.
        annotation: of the original image.
    """

    image: Tensor
    target: Target
    annotation: Annotation


class SceneGraphDataset(Dataset[Sample]):
    """Augmented training samples, each a function of the seed and the draw alone.

    Which process makes a sample, and what it made before, changes nothing.

    Args:
        dataset: the images.
        transform: the augmentation.
        seed: of the run.
        filter_duplicate_relations: keep one relation of every ordered pair of boxes, drawn at random.
        max_num_objects: keep at most so many boxes, drawn at random; -1 for all.
        max_num_relations: keep at most so many relations, drawn at random; -1 for all.
        resampling: drop relations of frequent predicates at random.
    """

    def __init__(
        self,
        dataset: VisualGenome,
        *,
        transform: TrainTransform,
        seed: int,
        filter_duplicate_relations: bool = False,
        max_num_objects: int = -1,
        max_num_relations: int = -1,
        resampling: BilevelResampling | None = None,
    ) -> None:
        self.dataset, self.transform, self.seed, self.resampling = dataset, transform, seed, resampling
        self.filter_duplicate_relations = filter_duplicate_relations
        self.max_num_objects, self.max_num_relations = max_num_objects, max_num_relations

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw.

        Raises:
            SpeaqError: the image is missing or cannot be read.
        """
        rng = generator(Purpose.DRAW, self.seed, draw.step, draw.slot)
        image, annotation = self.dataset.read(draw.image)
        scene = Scene(image, annotation.boxes, annotation.labels, annotation.relations)
        if self.resampling is not None:
            kept = self.resampling.keep(draw.image, scene.relations[:, 2], rng)
            scene = replace(scene, relations=scene.relations[kept])
        if self.filter_duplicate_relations:
            scene = replace(scene, relations=one_relation_per_pair(scene.relations, rng))
        if 0 < self.max_num_objects < len(scene.boxes):
            kept = np.zeros(len(scene.boxes), dtype=bool)
            kept[rng.choice(len(kept), self.max_num_objects, replace=False)] = True
            scene = keep_boxes(scene, kept)
        if 0 < self.max_num_relations < len(scene.relations):
            rows = np.sort(rng.choice(len(scene.relations), self.max_num_relations, replace=False))
            scene = replace(scene, relations=scene.relations[rows])
        return _sample(self.transform(scene, rng), annotation)


class MixedDataset(Dataset[Sample]):
    """Training samples of several sources.

    Args:
        parts: the data set of each source.
    """

    def __init__(self, parts: Sequence[SceneGraphDataset]) -> None:
        self.parts = tuple(parts)

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw, which names its source.

        Raises:
            SpeaqError: the image is missing or cannot be read.
        """
        return self.parts[draw.source][draw]


class EvaluationDataset(Dataset[Sample]):
    """The images of a split in order, without randomness.

    Args:
        dataset: the images.
        transform: the resizing.
    """

    def __init__(self, dataset: VisualGenome, *, transform: TestTransform) -> None:
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """The sample of an image.

        Raises:
            SpeaqError: the image is missing or cannot be read.
        """
        image, annotation = self.dataset.read(index)
        scene = Scene(image, annotation.boxes, annotation.labels, annotation.relations)
        return _sample(self.transform(scene), annotation)

    def output_sizes(self) -> list[tuple[int, int]]:
        """Height and width of every resized image, according to the image list."""
        return [self.transform.output_size(height, width) for height, width in self.dataset.sizes.tolist()]


def one_relation_per_pair(relations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The relations (M', 3), one of every ordered (subject, object), drawn at random; their order stays."""
    order = rng.permutation(len(relations))
    _, first = np.unique(relations[order, :2], axis=0, return_index=True)
    return relations[np.sort(order[first])]


def _sample(scene: Scene, annotation: Annotation) -> Sample:
    target = build_target(
        scene.boxes,
        scene.labels,
        scene.relations,
        (scene.image.height, scene.image.width),
        annotation.image_id,
        annotation.source,
        annotation.loss_weight,
    )
    return Sample(_to_tensor(scene.image), target, annotation)


def _to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
