"""The evaluation report: one HTML file that opens in any browser, without a network.

``contents`` has the inputs, ``tables`` and ``charts`` compute what is shown, and ``page`` renders the Jinja
templates, which escape all names. ``run`` makes the report of an evaluation, ``rescore`` that of saved
predictions.
"""

from speaq.tools.report.contents import EvaluatedSet, Example, Report, choose_examples
from speaq.tools.report.page import write_report

__all__ = ["EvaluatedSet", "Example", "Report", "choose_examples", "write_report"]
