"""The evaluation report: one HTML file that opens in any browser, without a network.

    metrics = SceneGraphMetrics(...)
    results = score_predictions(predictions, ground_truth, [metrics, DetectionAP(...)])
    analysis = analyze(pair_with_ground_truth(predictions, ground_truth), metrics)
    best, worst = choose_examples(analysis, predictions, ground_truth)
    evaluated = EvaluatedSet(name="VG_test", vocabulary=..., results=results, analysis=analysis, ...)
    write_report("report.html", Report(title="SpeaQ on Visual Genome", facts={...}, sets=[evaluated]))

``contents`` has the inputs, ``tables`` and ``charts`` compute the values to show, and ``page`` renders the
Jinja templates, which escape all names. ``run`` and ``rescore`` make the report of an evaluation.
"""

from speaq.tools.report.contents import AssignmentHistory, EvaluatedSet, Example, Report, choose_examples
from speaq.tools.report.page import write_report

__all__ = ["AssignmentHistory", "EvaluatedSet", "Example", "Report", "choose_examples", "write_report"]
