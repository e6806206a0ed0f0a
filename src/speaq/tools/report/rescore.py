"""Score saved predictions without the model."""

from pathlib import Path
from typing import Any

from speaq.config import Config
from speaq.data.build import load_statistics
from speaq.data.sources import load_sources, places
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.build import build_metrics
from speaq.evaluation.ground_truth import PredictedImages, score
from speaq.evaluation.predictions import Predictions
from speaq.tools.report import Report, write_report
from speaq.tools.report.run import evaluated_set
from speaq.training.evaluation_log import print_results


def rescore(config: Config, file: Path, *, report: Path | None = None) -> dict[str, Any]:
    """Score the predictions in ``file`` with the TEST settings of a configuration, and print the results.

    Writes a ``report`` to a file, if given.

    Raises:
        SpeaqError: the file or the data set cannot be read, or do not match.
    """
    predictions = Predictions(file)
    dataset = _load_dataset(config, predictions)
    counts = predictions.predicate_counts
    metrics = build_metrics(config, predictions.vocabulary, counts, load_statistics(config))
    images = PredictedImages(predictions, dataset)
    results = score(images, metrics)
    print_results(predictions.dataset, results, predictions.vocabulary, () if counts is None else counts)
    if report is not None:
        num_rel, name = config.test.num_rel, predictions.dataset
        evaluated = evaluated_set(name, results, [images], metrics=metrics[0], num_rel=num_rel)
        write_report(report, Report(title=f"Predictions of {file.name}", facts={}, sets=[evaluated]))
    return results


def _load_dataset(config: Config, predictions: Predictions) -> VisualGenome:
    """The data set of the predictions; for a mix such as MULTI_val_real, one of its sources."""
    kind, _, rest = predictions.dataset.partition("_")
    split, _, source_name = rest.partition("_")
    name = f"{kind}_{split}"
    try:
        places(config.datasets, name)
    except SpeaqError as error:
        raise SpeaqError(
            f"{predictions.path}: expected predictions on a data set such as VG_test, SYNTHETIC_val or "
            f"MULTI_test, found {predictions.dataset!r}"
        ) from error
    datasets = {source.name: source.dataset for source in load_sources(config, name)}
    dataset = datasets.get(source_name or next(iter(datasets)))
    if dataset is None:
        raise SpeaqError(
            f"{predictions.path}: expected a source of the mix ({', '.join(datasets)}), found "
            f"{predictions.dataset}"
        )
    if set(predictions.sources) - {dataset.source}:
        names = ", ".join(sorted(set(predictions.sources)))
        raise SpeaqError(
            f"{predictions.path}: expected images of {dataset.source}, found images of {names}; "
            "use the configuration of the evaluation"
        )
    differences = predictions.vocabulary.differences(dataset.vocabulary)
    if differences:
        raise SpeaqError(
            f"{predictions.path}: expected the classes of {predictions.dataset}, found differences: "
            f"{'; '.join(differences)}"
        )
    return dataset
