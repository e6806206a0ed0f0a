"""Saved predictions scored again, without the model."""

from pathlib import Path
from typing import Any

from speaq.config import Config
from speaq.data.build import load_statistics
from speaq.data.sources import load_sources, places
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.build import build_metrics
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.scoring import score
from speaq.tools.report import Report, write_report
from speaq.tools.report.of_model import evaluated_set
from speaq.training.evaluation_log import print_results


def rescore(config: Config, file: Path, *, report: Path | None = None) -> dict[str, Any]:
    """Score saved predictions with the TEST settings of a configuration, and show the results.

    Args:
        config: where the data set is, and how to measure.
        file: predictions of an evaluation.
        report: where to write the report, if it is wanted.

    Raises:
        SpeaqError: the file or the data set cannot be read, or they do not belong together.
    """
    predictions = Predictions(file)
    genome = _genome_of(config, predictions)
    counts = predictions.predicate_counts
    metrics = build_metrics(config, predictions.vocabulary, counts, load_statistics(config))
    results = score(predictions, genome, metrics)
    print_results(predictions.dataset, results, predictions.vocabulary, () if counts is None else counts)
    if report is not None:
        shown = evaluated_set(
            predictions.dataset,
            results,
            [(predictions, genome)],
            metrics=metrics[0],
            num_rel=config.test.num_rel,
        )
        write_report(report, Report(title=f"Predictions of {file.name}", facts={}, sets=[shown]))
    return results


def _genome_of(config: Config, predictions: Predictions) -> VisualGenome:
    """The data set that the predictions are on; of a mix such as MULTI_val_real, one source."""
    kind, _, rest = predictions.dataset.partition("_")
    split, _, wanted = rest.partition("_")
    name = f"{kind}_{split}"
    try:
        places(config.datasets, name)
    except SpeaqError as error:
        raise SpeaqError(
            f"{predictions.path}: is on {predictions.dataset!r}, which is no data set; expected predictions "
            "on a data set such as VG_test, SYNTHETIC_val or MULTI_test"
        ) from error
    sources = load_sources(config, name)
    genome = next((source.dataset for source in sources if source.name == (wanted or sources[0].name)), None)
    if genome is None:
        names = ", ".join(source.name for source in sources)
        raise SpeaqError(f"{predictions.path}: is on {predictions.dataset}, but the mix has only {names}")
    if set(predictions.sources) - {genome.source}:
        names = ", ".join(sorted(set(predictions.sources)))
        raise SpeaqError(
            f"{predictions.path}: is on images of {names}, but {genome.source} was loaded for it"
        )
    differences = predictions.vocabulary.differences(genome.vocabulary)
    if differences:
        raise SpeaqError(
            f"{predictions.path}: has other classes than {predictions.dataset}: {'; '.join(differences)}"
        )
    return genome
