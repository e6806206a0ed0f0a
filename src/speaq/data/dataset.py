"""Training and evaluation samples: image, augmentation, target.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from speaq.config.data import DatasetSection, Input
from speaq.data.long_tail import BilevelResampling
from speaq.data.randomness import Purpose, generator
from speaq.data.sampling import Draw, Epochs
from speaq.data.sources import DataSource
from speaq.data.targets import build_target
from speaq.data.transforms import Scene, TrainTransform, keep_boxes, resize, resize_shortest_edge
from speaq.data.visual_genome import VisualGenome
from speaq.structures import Annotation, Target


@dataclass(slots=True)
class Sample:
    """One image of a batch.

    Attributes:
        image: (3, H, W) uint8, RGB.
        target: the ground truth for the loss.
        annotation: the ground truth of the original image.
    """

    image: Tensor
    target: Target
    annotation: Annotation

    @classmethod
    def of(cls, scene: Scene, annotation: Annotation) -> "Sample":
        """The sample of an augmented scene with this original annotation."""
        image = scene.image
        if isinstance(image, Image.Image):
            image = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return cls(image, build_target(scene, annotation), annotation)


class SceneGraphDataset(Dataset[Sample]):
    """Augmented training samples of one or several sources; each depends on the seed and the draw only.

    Args:
        sources: the training data.
        epochs: S orders of the images; a `BilevelResampling` also drops relations.
        transform: the augmentation of all sources.
        seed: of the run.
    """

    def __init__(
        self,
        sources: Sequence[DataSource],
        *,
        epochs: Sequence[Epochs],
        transform: TrainTransform,
        seed: int,
    ) -> None:
        self.sources, self.epochs, self.transform, self.seed = tuple(sources), tuple(epochs), transform, seed

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw.

        Raises:
            SpeaqError: the image is missing or cannot be read.
        """
        rng = generator(Purpose.DRAW, self.seed, draw.step, draw.slot)
        source, epochs = self.sources[draw.source], self.epochs[draw.source]
        image, annotation = source.dataset.read(draw.image)
        scene = Scene.of(image, annotation)
        if isinstance(epochs, BilevelResampling):
            kept = epochs.keep(draw.image, scene.relations[:, 2], rng)
            scene = replace(scene, relations=scene.relations[kept])
        return Sample.of(self.transform(subsample(scene, source.section, rng), rng), annotation)


class EvaluationDataset(Dataset[Sample]):
    """The images of a split in order, resized for evaluation, with all boxes and relations.

    Args:
        dataset: the images.
        settings: INPUT section of the configuration.
    """

    def __init__(self, dataset: VisualGenome, settings: Input) -> None:
        self.dataset, self.settings = dataset, settings

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """The sample of an image.

        Raises:
            SpeaqError: the image is missing or cannot be read.
        """
        image, annotation = self.dataset.read(index)
        scene = Scene.of(image, annotation)
        return Sample.of(resize(scene, self.settings.min_size_test, self.settings.max_size_test), annotation)

    def output_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each resized image, from the sizes in the image list."""
        edge, max_size = self.settings.min_size_test, self.settings.max_size_test
        sizes = self.dataset.sizes.tolist()
        return [resize_shortest_edge(height, width, edge, max_size) for height, width in sizes]


def subsample(scene: Scene, section: DatasetSection, rng: np.random.Generator) -> Scene:
    """Apply FILTER_DUPLICATE_RELATIONS, MAX_NUM_OBJECTS and MAX_NUM_RELATIONS of a data set, at random."""
    if section.filter_duplicate_relations:
        scene = replace(scene, relations=one_relation_per_pair(scene.relations, rng))
    if 0 < section.max_num_objects < len(scene.boxes):
        kept = np.zeros(len(scene.boxes), dtype=bool)
        kept[rng.choice(len(kept), section.max_num_objects, replace=False)] = True
        scene = keep_boxes(scene, kept)
    if 0 < section.max_num_relations < len(scene.relations):
        rows = np.sort(rng.choice(len(scene.relations), section.max_num_relations, replace=False))
        scene = replace(scene, relations=scene.relations[rows])
    return scene


def one_relation_per_pair(relations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One random relation of each ordered (subject, object) of ``relations`` (M, 3), in their order."""
    order = rng.permutation(len(relations))
    _, first = np.unique(relations[order, :2], axis=0, return_index=True)
    return relations[np.sort(order[first])]
