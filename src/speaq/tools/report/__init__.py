"""The evaluation report: one HTML file that opens in any browser, without a network.

    metrics = SceneGraphMetrics(...)
    results = score(predictions, genome, [metrics, DetectionAP(...)])
    analysis = analyse(paired(predictions, genome), metrics)
    best, worst = choose_examples(analysis, predictions, genome)
    evaluated = EvaluatedSet(name="VG_test", vocabulary=..., results=results, analysis=analysis, ...)
    write_report("report.html", Report(title="SpeaQ on Visual Genome", facts={...}, sets=[evaluated]))

``contents`` says what goes in, ``page`` puts it together from ``tables``, ``charts`` and ``heatmap``, and
``markup`` makes the elements, which escapes every name.
"""

from speaq.tools.report.contents import AssignmentHistory, EvaluatedSet, Example, Report, choose_examples
from speaq.tools.report.page import write_report

__all__ = ["AssignmentHistory", "EvaluatedSet", "Example", "Report", "choose_examples", "write_report"]
