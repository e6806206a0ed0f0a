import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from speaq.config.data import Crop, DatasetSection, Input, SourceShare
from speaq.data.collate import collate, collate_by_size
from speaq.data.dataset import EvaluationDataset, SceneGraphDataset, one_relation_per_pair
from speaq.data.long_tail import BilevelResampling
from speaq.data.mixing import Mixture
from speaq.data.sampling import Draw, EvalBatchSampler, ShuffledEpochs, TrainBatchSampler
from speaq.data.sources import DataSource
from speaq.data.transforms import TrainTransform

AUGMENTED = Input(
    min_size_train=(96, 128),
    max_size_train=200,
    crop=Crop(enabled=True, type="absolute_range", size=(384, 600)),
)
PLAIN = Input(min_size_train=(240,), random_flip="none")


def training(split, *, augment=True, epochs=None, **filters) -> SceneGraphDataset:
    section = DatasetSection(**{"filter_duplicate_relations": False, **filters})
    source = DataSource("DATASETS.REAL", section, SourceShare(1.0, 1.0, 1.0), name="real", dataset=split)
    transform = TrainTransform(AUGMENTED if augment else PLAIN, split.vocabulary)
    epochs = epochs or ShuffledEpochs(num_images=len(split), seed=0)
    return SceneGraphDataset([source], epochs=[epochs], transform=transform, seed=3)


def same(a, b) -> bool:
    return (
        torch.equal(a.image, b.image)
        and torch.equal(a.target.boxes, b.target.boxes)
        and torch.equal(a.target.relations, b.target.relations)
        and a.annotation.image_id == b.annotation.image_id
    )


def test_sample_depends_on_seed_and_draw_only(tiny):
    dataset = training(tiny(), filter_duplicate_relations=True)
    first = dataset[Draw(4, 1, 7)]
    dataset[Draw(0, 0, 3)]
    assert same(first, dataset[Draw(4, 1, 7)])
    assert same(first, pickle.loads(pickle.dumps(dataset))[Draw(4, 1, 7)])
    assert not all(same(first, dataset[Draw(4, slot, 7)]) for slot in range(2, 8))
    assert first.image.dtype == torch.uint8
    assert first.image.is_contiguous()
    assert first.annotation.image_id == first.target.image_id == 18


def test_confidences_stay_with_their_relations(tiny):
    split = tiny()
    split.confidences = np.linspace(0, 1, len(split.relations), dtype=np.float32)
    dataset = training(split, filter_duplicate_relations=True, max_num_objects=5, max_num_relations=4)
    num_checked = 0
    for index in range(len(split)):
        sample = dataset[Draw(index, 0, index)]
        annotation, target = sample.annotation, sample.target
        confidence = dict(
            zip(annotation.relation_weights.tolist(), annotation.relations[:, 2].tolist(), strict=True)
        )
        assert len(target.relation_weights) == len(target.relations)
        mirrored = dataset.transform.mirrored
        for weight, predicate in zip(
            target.relation_weights.tolist(), target.relations[:, 2].tolist(), strict=True
        ):
            assert predicate in (confidence[weight], mirrored[confidence[weight]])
            num_checked += 1
    assert num_checked > 100
    assert training(tiny())[Draw(0, 0, 0)].target.relation_weights is None


def test_samples_do_not_depend_on_workers_and_ranks(tiny):
    dataset = training(tiny(), filter_duplicate_relations=True, max_num_objects=4)
    mixture = Mixture([1.0], batch_size=4, num_steps=4)
    options = {"epochs": dataset.epochs, "mixture": mixture}

    def batches(num_workers: int, **sampling):
        sampler = TrainBatchSampler(**options, **sampling)
        return list(DataLoader(dataset, batch_sampler=sampler, num_workers=num_workers, collate_fn=collate))

    whole, by_workers = batches(0), batches(2)
    for a, b in zip(whole, by_workers, strict=True):
        assert torch.equal(a.images, b.images)
        assert all(torch.equal(x.boxes, y.boxes) for x, y in zip(a.targets, b.targets, strict=True))
    second_rank = batches(0, rank=1, world_size=2, start_step=2)
    for a, b in zip(whole[2:], second_rank, strict=True):
        assert [t.image_id for t in a.targets[2:]] == [t.image_id for t in b.targets]
        for i in range(2):
            height, width = b.sizes[i].tolist()
            assert torch.equal(a.images[2 + i, :, :height, :width], b.images[i, :, :height, :width])


def test_sample_without_augmentation_is_the_image(tiny):
    split = tiny()
    sample = training(split, augment=False)[Draw(0, 0, 0)]
    image, annotation = split.read(0)
    np.testing.assert_array_equal(sample.image.permute(1, 2, 0), np.asarray(image))
    width, height = image.size
    corners = annotation.boxes / np.array([width, height, width, height])
    np.testing.assert_allclose(sample.target.boxes[:, :2], (corners[:, :2] + corners[:, 2:]) / 2, atol=1e-6)
    np.testing.assert_allclose(sample.target.boxes[:, 2:], corners[:, 2:] - corners[:, :2], atol=1e-6)
    np.testing.assert_array_equal(sample.target.relations, annotation.relations)


def test_one_relation_per_pair():
    relations = np.array([[0, 1, 5], [2, 1, 0], [0, 1, 6], [1, 0, 3], [0, 1, 6]])
    rng = np.random.default_rng(0)
    drawn = [one_relation_per_pair(relations, rng) for _ in range(600)]
    for kept in drawn:
        pairs = [tuple(row[:2]) for row in kept]
        assert len(set(pairs)) == len(pairs) == 3
        assert {tuple(row) for row in kept} <= {tuple(row) for row in relations}
    assert {tuple(kept[0]) for kept in drawn} == {(0, 1, 5), (2, 1, 0)}  # the order of the file stays
    share = np.mean([[0, 1, 6] in kept.tolist() for kept in drawn])
    assert share == pytest.approx(2 / 3, abs=0.06)
    assert one_relation_per_pair(np.empty((0, 3), np.int64), rng).shape == (0, 3)


def test_filter_duplicate_relations(files):
    files.image("11.jpg")
    files.arrays["relationships"][1] = [0, 1]
    split = files.open()
    assert len(training(split)[Draw(0, 0, 0)].target.relations) == 2
    assert len(training(split, filter_duplicate_relations=True)[Draw(0, 0, 0)].target.relations) == 1


def test_max_num_objects_and_relations(tiny):
    split = tiny()
    dataset = training(split, augment=False, max_num_objects=3, max_num_relations=2)
    subsets = set()
    for step in range(30):
        target = dataset[Draw(step, 0, 0)].target
        assert len(target.boxes) == len(target.labels) == 3
        assert len(target.relations) <= 2
        assert target.relations[:, :2].numel() == 0 or int(target.relations[:, :2].max()) < 3
        subsets.add(tuple(target.labels.tolist()))
    assert len(subsets) > 5
    named = {tuple(row) for row in named_relations(split.annotation(0).labels, split.annotation(0).relations)}
    assert {tuple(row) for row in named_relations(target.labels.numpy(), target.relations.numpy())} <= named


def named_relations(labels, relations):
    return np.column_stack((labels[relations[:, 0]], labels[relations[:, 1]], relations[:, 2])).tolist()


def test_bilevel_resampling_drops_relations(tiny):
    split = tiny()
    resampling = BilevelResampling(split, oversample=0.07, undersample=50.0, seed=0)
    image = int(np.argmax(resampling.image_factors))
    plain = training(split, augment=False)[Draw(0, 0, image)].target.relations[:, 2]
    dropped = training(split, augment=False, epochs=resampling)[Draw(0, 0, image)].target.relations[:, 2]
    factors = resampling.predicate_factors
    assert dropped.tolist() == [p for p in plain.tolist() if factors[p] > 0.98 * factors[plain].max()]
    assert 0 < len(dropped) < len(plain)


def test_evaluation_dataset_gives_batches_of_equal_size(tiny):
    split = tiny("test")
    dataset = EvaluationDataset(split, Input(min_size_test=64, max_size_test=100))
    sizes = dataset.output_sizes()
    assert set(sizes) == {(64, 85), (85, 64)}
    sampler = EvalBatchSampler(sizes=sizes, batch_size=8)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate_by_size)
    batches = [batch for group in loader for batch in group]
    assert len(batches) == len(sampler)
    seen = [annotation.image_id for batch in batches for annotation in batch.annotations]
    assert sorted(seen) == split.image_ids
    for batch in batches:
        assert (batch.sizes == torch.tensor(batch.images.shape[2:])).all()
        for target, annotation in zip(batch.targets, batch.annotations, strict=True):
            assert len(target.boxes) == len(annotation.boxes)


def test_evaluation_batches_separate_files_of_another_size(files):
    files.image("11.jpg")
    files.image("12.jpg", 64, 40)
    split = files.open()
    dataset = EvaluationDataset(split, Input(min_size_test=32, max_size_test=100))
    assert dataset.output_sizes() == [(32, 64), (32, 64)]
    batches = collate_by_size([dataset[0], dataset[1]])
    assert [tuple(batch.images.shape) for batch in batches] == [(1, 3, 32, 64), (1, 3, 32, 51)]
