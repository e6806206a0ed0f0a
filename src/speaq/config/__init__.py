"""The configuration of a run: one typed schema, read from YAML files and `KEY VALUE` pairs."""

from speaq.config.loading import load_config, log_without_effect
from speaq.config.schema import Config

__all__ = ["Config", "load_config", "log_without_effect"]
