"""The data sets of an evaluation, and the results that their images contribute to."""

from dataclasses import dataclass

from speaq.config import Config
from speaq.data.build import build_test_transform
from speaq.data.dataset import EvaluationDataset
from speaq.data.sources import load_sources
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary


@dataclass(frozen=True, slots=True)
class EvaluationSets:
    """Data sets, each evaluated once, and named results, to which the images of a data set contribute.

    A name of DATASETS.TEST has one data set and one result. A mix such as MULTI_val has one of each for every
    source (MULTI_val_real, MULTI_val_synthetic), and one more result (MULTI_val) for all of them, even if
    only one source has images for it.

    Attributes:
        datasets: the data sets.
        names: names of the results, those of a mix's sources before that of the mix.
        results_of_dataset: for each data set, the indices of the results that it contributes to.
        vocabulary: the classes of all data sets; None if there is no data set.
    """

    datasets: tuple[EvaluationDataset, ...]
    names: tuple[str, ...]
    results_of_dataset: tuple[tuple[int, ...], ...]
    vocabulary: Vocabulary | None

    @property
    def dataset_names(self) -> list[str]:
        """The names of the data sets, those of the results that each contributes to alone."""
        return [self.names[results[0]] for results in self.results_of_dataset]


def load_evaluation_sets(config: Config, vocabulary: Vocabulary | None) -> EvaluationSets:
    """Load the data sets of DATASETS.TEST, which must have the classes of ``vocabulary``, if known.

    Raises:
        SpeaqError: a data set cannot be read, or has other classes.
    """
    datasets: list[EvaluationDataset] = []
    names: list[str] = []
    results: list[tuple[int, ...]] = []
    for name in dict.fromkeys(config.datasets.test):
        sources = load_sources(config, name)
        differences = (vocabulary or sources[0].dataset.vocabulary).differences(sources[0].dataset.vocabulary)
        if differences:
            raise SpeaqError(
                f"{name}: expected the classes of the model and of the other data sets, found differences: "
                f"{'; '.join(differences)}. Use the same MAPPING_DICTIONARY."
            )
        vocabulary = sources[0].dataset.vocabulary
        first = len(names)
        mixed = name.startswith("MULTI_")
        alone = [f"{name}_{source.name}" for source in sources] if mixed else [name]
        together = [first + len(sources)] if mixed else []
        names += alone + [name] * len(together)
        for position, source in enumerate(sources, first):
            datasets.append(EvaluationDataset(source.dataset, transform=build_test_transform(config.input)))
            results.append((position, *together))
    return EvaluationSets(tuple(datasets), tuple(names), tuple(results), vocabulary)
