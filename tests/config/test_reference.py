"""docs/configuration.md tells what the schema says."""

from pathlib import Path

from speaq.config.reference import reference


def test_configuration_page_is_up_to_date():
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text() == reference(), "run: python -m speaq.config.reference > docs/configuration.md"


def test_every_key_has_a_description():
    assert "| None |" not in reference()
