"""The course of trainings: read from their logs, drawn, tabulated and summed up.

``history`` holds what was logged. ``classic`` and ``json_lines`` read the two forms of logs, ``reading``
joins the files of a run. ``page`` draws panels of curves; ``overview``, ``losses``, ``validation``,
``predicates`` and ``dynamics`` are the pictures, ``table`` and ``summary`` the numbers. ``plots`` does it
all.
"""
