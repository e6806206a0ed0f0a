"""The model card."""

import math

import torch
from huggingface_hub import ModelCard

from speaq.checkpoints.card import model_card
from speaq.pretrained import Speaq
from tiny_model import tiny_config

NAMES = {"objects": ("cup", "a|b", "<script>", "two\nlines", "책상"), "predicates": ("on", "`_x_`", "[a](b)")}


def card(**said) -> str:
    return model_card(tiny_config(**NAMES), **said)


def test_the_front_matter_is_what_the_hub_expects():
    parsed = ModelCard(
        card(metrics={"R@50": 0.32, "mR@50": 0.15}, data="Visual Genome: VG150", license="mit")
    )
    assert (parsed.data.library_name, parsed.data.license) == ("speaq", "mit")
    assert parsed.data.pipeline_tag == "object-detection"
    assert {"scene-graph-generation", "speaq"} <= set(parsed.data.tags)
    figures = [(result.metric_type, result.metric_value) for result in parsed.data.eval_results]
    assert figures == [("R@50", 0.32), ("mR@50", 0.15)]
    assert {result.dataset_name for result in parsed.data.eval_results} == {"Visual Genome: VG150"}
    assert "| mR@50 | 0.1500 |" in parsed.text and "Visual Genome: VG150" in parsed.text


def test_what_is_not_known_is_not_made_up():
    parsed = ModelCard(card(metrics={"R@50": math.nan, "predicates": [1, 2], "images": True}))  # type: ignore[dict-item]
    assert (parsed.data.license, parsed.data.eval_results) == ("unknown", None)
    assert parsed.text.count("Not stated.") == 3
    assert "5 object classes, 3 predicates" in parsed.text
    assert "4 entity and 4 predicate queries" in parsed.text


def test_names_are_text_and_nothing_else():
    text = card()
    assert r"on, \`\_x\_\`, \[a\]\(b\)" in text
    assert r"cup, a\|b, \<script\>, two lines, 책상" in text


def test_the_card_shows_how_the_model_is_loaded(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model, folder = Speaq(tiny_config(**NAMES)), tmp_path / "model"
    model.save_pretrained(folder)
    parsed = ModelCard.load(folder / "README.md")
    code = parsed.text.partition("```python\n")[2].partition("graph = ")[0]
    assert str(tmp_path) not in parsed.text  # others have other folders
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    exec(code, space)
    assert space["model"].vocabulary == model.vocabulary


def test_a_card_of_ones_own_stays_until_there_is_more_to_say(tmp_path):
    model = Speaq(tiny_config())
    (tmp_path / "README.md").write_text("mine")
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    model.save_pretrained(tmp_path, data="my photos")
    assert "my photos" in (tmp_path / "README.md").read_text()
