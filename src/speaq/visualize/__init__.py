"""Drawings of scene graphs, and the style of charts.

`draw` holds the functions to call. They arrange, on a `page`, the photo with its `overlay` and the `diagram`
of a graph whose names and colours `style` has chosen; `comparison` aligns two graphs; `canvas` writes files.
"""
