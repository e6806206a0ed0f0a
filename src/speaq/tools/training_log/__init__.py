"""Figures, a table and a summary of trainings, from their logs.

``log_txt`` and ``metrics_json`` read the two kinds of logs, ``reading`` joins the files of a run to a
``TrainingHistory`` (``history``). ``figures`` and ``predicate_recalls`` are the figures, drawn with
``panel_figure``; ``summary`` has the tables for a terminal. ``plots`` writes everything.
"""
