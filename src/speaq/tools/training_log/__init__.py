"""Figures, a table and a summary of trainings, from their logs.

``log_txt`` and ``reading`` turn logs into events, which ``history`` collects into the columns of a run, by
their ``names``. ``figures`` and ``predicate_recalls`` are the figures, drawn with ``panel_figure``;
``summary`` has the tables for a terminal. ``plots`` writes everything.
"""
