"""The prediction server of ``speaq serve``; it needs the extra "serve"."""

from speaq.tools.serve.app import create_app
from speaq.tools.serve.limits import Limits
from speaq.tools.serve.server import run

__all__ = ["Limits", "create_app", "run"]
