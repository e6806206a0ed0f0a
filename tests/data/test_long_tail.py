import numpy as np
import pytest

from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.errors import SpeaqError


def resampling(dataset, **options) -> BilevelResampling:
    return BilevelResampling(dataset, **{"oversample": 0.07, "undersample": 0.7, "seed": 3, **options})


def test_bilevel_resampling_computes_the_repeat_factors(tiny):
    dataset = tiny(filter_empty_relations=False)
    factors = resampling(dataset)
    counts = np.bincount(dataset.relations[:, 2], minlength=50)
    for predicate, count in enumerate(counts):
        share = count / counts.sum()
        expected = max(1.0, (0.07 / share) ** 0.5) if count else 1.0
        assert factors.predicate_factors[predicate] == pytest.approx(expected, rel=1e-12)
    for image in range(len(dataset)):
        predicates = dataset.annotation(image).relations[:, 2]
        expected = max([1.0, *factors.predicate_factors[predicates]])
        assert factors.image_factors[image] == expected
    assert factors.predicate_factors[counts == 1].max() == pytest.approx((0.07 * 290) ** 0.5)


def test_bilevel_resampling_repeats_images_by_their_factor(tiny):
    dataset = tiny()
    factors = resampling(dataset)
    counts = np.array([np.bincount(factors(epoch), minlength=len(dataset)) for epoch in range(400)])
    assert (counts >= np.floor(factors.image_factors)).all()
    assert (counts <= np.ceil(factors.image_factors)).all()
    np.testing.assert_allclose(counts.mean(0), factors.image_factors, atol=0.12)


def test_epochs_depend_on_seed_and_number_only(tiny):
    dataset = tiny()
    for make in (resampling, lambda g, seed=3: ClassBalancedEpochs(g, seed=seed)):
        np.testing.assert_array_equal(make(dataset)(5), make(dataset)(5))
        assert make(dataset)(5).tolist() != make(dataset)(6).tolist()
        assert make(dataset)(5).tolist() != make(dataset, seed=4)(5).tolist()


def test_bilevel_resampling_drops_frequent_predicates(tiny):
    dataset = tiny()
    factors = resampling(dataset)
    image = int(np.argmax(factors.image_factors))
    predicates = dataset.annotation(image).relations[:, 2]
    own, classes = factors.image_factors[image], factors.predicate_factors[predicates]
    assert classes.min() < own
    rng = np.random.default_rng(0)
    kept = np.mean([factors.keep(image, predicates, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(kept, 1 - 0.7 * (own - classes) / own, atol=0.03)
    assert (kept[classes == own] == 1).all()


def test_bilevel_resampling_keeps_the_rarest_predicate(tiny):
    dataset = tiny()
    factors = resampling(dataset, undersample=50.0)
    rng = np.random.default_rng(0)
    for image in range(len(dataset)):
        predicates = dataset.annotation(image).relations[:, 2]
        kept = factors.keep(image, predicates, rng)
        np.testing.assert_array_equal(
            kept, factors.predicate_factors[predicates] > 0.98 * factors.image_factors[image]
        )


def test_bilevel_resampling_rejects_negative_parameters(tiny):
    with pytest.raises(SpeaqError, match="UNDERSAMPLE_PARAM is -1"):
        resampling(tiny(), undersample=-1)


def test_class_balanced_epochs_draw_predicates_equally(tiny):
    dataset = tiny()
    epochs = ClassBalancedEpochs(dataset, seed=0)
    num_epochs = 400
    found = np.bincount(np.concatenate([epochs(e) for e in range(num_epochs)]), minlength=len(dataset))
    having = np.zeros((50, len(dataset)))
    for image in range(len(dataset)):
        having[dataset.annotation(image).relations[:, 2], image] = 1
    having = having[having.any(1)]
    expected = (having / having.sum(1, keepdims=True)).mean(0) * len(dataset)
    assert len(epochs(0)) == len(dataset)
    np.testing.assert_allclose(found / num_epochs, expected, atol=0.3)


def test_class_balanced_epochs_need_relations(files):
    files.arrays["img_to_first_rel"][:] = files.arrays["img_to_last_rel"][:] = -1
    with pytest.raises(SpeaqError, match="PER_CLASS_DATASET"):
        ClassBalancedEpochs(files.open(filter_empty_relations=False), seed=0)
