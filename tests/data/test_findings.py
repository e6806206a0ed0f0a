from pathlib import Path

import numpy as np
import pytest

from speaq.data.findings import Example, Findings, FirstError
from speaq.errors import SpeaqError


def test_add_merges_the_cases_of_one_kind():
    findings = Findings(limit=2)
    findings.add("image-id-missing", [Example(None, "entry 1", "width")])
    findings.add("dictionary-gap", [Example(None, "number 2", "no name")], key="a", last=3)
    findings.add("dictionary-gap", [Example(None, "number 2", "no name")], key="b", last=3)
    findings.add("image-id-missing", [Example(7, f"entry {i}", "width") for i in (4, 5)])
    findings.add("image-id-type", [])
    found = findings.ordered()
    assert [(finding.code, finding.count) for finding in found] == [
        ("dictionary-gap", 1),
        ("dictionary-gap", 1),
        ("image-id-missing", 3),
    ]
    assert found[0].what == "The numbers of 'a' are not 1 to 3."
    assert [case.place for case in found[2].examples] == ["entry 1", "entry 4"]
    assert found[2].images == (7, 7)


def test_add_rows_shows_rows_with_their_images():
    findings = Findings(limit=1)
    findings.image_ids = ["a", "b"]
    values = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.inf]])
    findings.add_rows(
        "box-not-finite",
        "boxes_1024",
        np.array([True, False, True]),
        values,
        owners=np.array([1, 0, -1]),
        box_scale=1024,
    )
    (finding,) = findings.ordered()
    assert (finding.severity, finding.count, finding.images) == ("error", 2, ("b",))
    assert finding.examples == (Example("b", "boxes_1024[0]", [1.0, "nan"]),)
    assert str(finding.examples[0]) == 'image b, boxes_1024[0]: [1.0, "nan"]'


def test_ordered_puts_errors_first():
    findings = Findings(limit=1)
    for code in ("split-no-test", "relation-to-itself", "split-unknown"):
        findings.add(code, count=1)
    assert [finding.severity for finding in findings.ordered()] == ["error", "warning", "note"]


def test_first_error_raises_errors_that_are_not_accepted():
    findings = FirstError(Path("VG.h5"), accepted=("box-range-overlap",))
    findings.add("relation-to-itself", count=1)
    findings.add("array-absent", [Example(None, "attributes", "no such array")])
    findings.add("box-range-overlap", count=2)
    findings.add("array-missing", [Example(None, "labels", "x")], severity="warning")
    with pytest.raises(SpeaqError, match=r"^VG\.h5: An array is missing. Found split: only labels. Add it"):
        findings.add("array-missing", [Example(None, "split", "only labels")])


def test_first_error_leaves_the_details_of_fix_to_data_check():
    with pytest.raises(SpeaqError) as error:
        FirstError(Path("dicts.json")).add("dictionary-gap", count=1, key="label_to_idx", last=2)
    assert str(error.value) == (
        "dicts.json: The numbers of 'label_to_idx' are not 1 to 2. Class numbers are 1, 2, 3, ... without a "
        "gap. 'speaq data check' lists all problems and writes a repaired copy (--fix)."
    )
