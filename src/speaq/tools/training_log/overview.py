"""The first picture to look at."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from speaq.tools.training_log.history import TrainingHistory
from speaq.tools.training_log.losses import scalar_panel
from speaq.tools.training_log.page import Page
from speaq.tools.training_log.panels import BLUE, DARK, GREEN, PURPLE
from speaq.tools.training_log.terms import ENTITY_TERMS, RELATION_TERMS
from speaq.tools.training_log.validation import evaluated_datasets, recall_panel


def draw_overview(histories: Sequence[TrainingHistory], *, smooth: int | None = None) -> Figure | None:
    """Total, entity and relation loss, learning rate, and recalls on the first data set."""
    panels = [
        scalar_panel("total loss", histories, "total_loss", colour=DARK),
        scalar_panel("entity loss (final layer)", histories, *ENTITY_TERMS, colour=BLUE),
        scalar_panel("relation loss (final layer)", histories, *RELATION_TERMS, colour=GREEN),
        scalar_panel("learning rate", histories, "lr", colour=PURPLE, smoothed=False),
    ]
    for dataset, about in list(evaluated_datasets(histories).items())[:1]:
        panels += [recall_panel(histories, dataset, kind, about) for kind in ("R", "mR")]
    return Page("Training overview", histories, smooth=smooth).draw(panels, columns=3)
