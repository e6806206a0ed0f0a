"""Drawings of scene graphs, and the style of charts.

`draw` holds the functions to call. They combine, on a `page`, the photo with its `overlay` (labels placed by
`label_placement`) and the `diagram` (positions by `layering` and `graph_layout`), all in one `style`;
`comparison` aligns ground truth and prediction; `canvas` draws and writes.
"""
