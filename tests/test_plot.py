import speaq
from counted_datasets import write_dataset


def test_plot_predicates_writes_pictures_of_all_datasets(tmp_path):
    sections = {
        "real": write_dataset(tmp_path / "real", {"on": 60, "has": 30}),
        "synthetic": write_dataset(tmp_path / "synthetic", {"on": 10, "has": 30}),
    }
    datasets = {name: (part.mapping_dictionary, part.vg_attribute_h5) for name, part in sections.items()}
    comparison = speaq.plot.plot_predicates(datasets, tmp_path / "pictures", format="svg")
    assert list(comparison.sets) == ["real", "synthetic"]
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == [
        "cumulative_predicate_distribution.svg",
        "predicate_distribution_comparison.svg",
        "predicate_statistics_summary.svg",
        "top_predicates_comparison.svg",
    ]
