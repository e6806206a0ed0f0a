"""Pictures of the losses: the terms, the decoder layers, and the sources of data."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from speaq.tools.training_log.history import Series, TrainingHistory
from speaq.tools.training_log.page import Page
from speaq.tools.training_log.panels import (
    PART_COLOURS,
    PURPLE,
    VERMILLION,
    Curve,
    Panel,
    layer_shades,
)
from speaq.tools.training_log.terms import (
    DENSE_TERMS,
    ENTITY_TERMS,
    KIND_TITLES,
    KINDS,
    PARTS,
    RELATION_TERMS,
    parse_term,
    term_name,
)
from speaq.visualize.charts import Rgb, rgb, set_colours

Histories = Sequence[TrainingHistory]


def scalar_panel(title: str, histories: Histories, *names: str, colour: Rgb, smoothed: bool = True) -> Panel:
    """A panel with a single curve: a scalar, or the sum of some."""
    curve = Curve.of(title, colour, histories, lambda history: history.series(*names))
    return Panel(title, [curve], smoothed=smoothed, terms=any(name.startswith("loss_") for name in names))


def draw_components(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Every term of the final layer, a row for subjects, objects and relations each; then all other terms."""
    panels = []
    for part in PARTS:
        for kind in KINDS:
            title = f"{part}: {KIND_TITLES[kind]}"
            panels.append(scalar_panel(title, histories, term_name(part, kind), colour=PART_COLOURS[part]))
    for kind, name in zip(KINDS, DENSE_TERMS, strict=True):
        panels.append(scalar_panel(f"dense: {KIND_TITLES[kind]}", histories, name, colour=PURPLE))
    names = dict.fromkeys(name for history in histories for name in history.names())
    others = (name for name in names if "loss" in name and parse_term(name) is None)
    panels += [scalar_panel(name, histories, name, colour=VERMILLION) for name in others]
    return Page("Loss terms (final layer)", histories, smooth=smooth).draw(panels, columns=3)


def draw_layers(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """The relation's terms in every decoder layer, a row for each run."""
    panels = []
    for history in histories:
        found = [parse_term(name) for name in history.names()]
        layers = sorted({term.layer for term in found if term is not None and term.layer is not None})
        shades = layer_shades(len(layers) + 1)
        run = history.name if len(histories) > 1 else ""
        for kind in KINDS:
            final = term_name("relation", kind)
            named = {f"layer {layer + 1}": f"{final}_{layer}" for layer in layers} | {"final layer": final}
            curves = [
                Curve(label, [history.series(name)], shade)
                for (label, name), shade in zip(named.items(), shades, strict=True)
            ]
            panels.append(Panel(f"relation, {KIND_TITLES[kind]}", curves, about=run, single=True, terms=True))
    return Page("Relation loss by decoder layer", histories, smooth=smooth).draw(panels, columns=3)


def draw_sources(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Unweighted losses of each source of data, and how many images of it were seen.

    Returns:
        None where no run has a log of its sources.
    """
    sources = list(dict.fromkeys(source for history in histories for source in history.sources()))
    sources.sort(key=lambda source: source != "real")

    def curves(read: Callable[[TrainingHistory, str], Series]) -> list[Curve]:
        return [
            Curve(source, [read(history, source) for history in histories], rgb(colour))
            for source, colour in set_colours(sources).items()
        ]

    def terms(*names: str) -> Callable[[TrainingHistory, str], Series]:
        return lambda history, source: history.series(*(f"{name}_{source}" for name in names))

    sums = {
        "subject": Panel("total loss", curves(terms("total_loss"))),
        "object": Panel("entity loss (final layer)", curves(terms(*ENTITY_TERMS))),
        "relation": Panel("relation loss (final layer)", curves(terms(*RELATION_TERMS))),
    }
    panels = []
    for part, first in sums.items():
        panels.append(first)
        panels += [
            Panel(f"{part}: {KIND_TITLES[kind]}", curves(terms(term_name(part, kind)))) for kind in KINDS
        ]
    panels += [
        Panel("images seen", curves(_images_seen), smoothed=False, from_zero=True),
        Panel("share of images", curves(_image_share), percent=True, smoothed=False, from_zero=True),
    ]
    return Page("Losses by source of data, unweighted", histories, smooth=smooth).draw(panels, columns=4)


def _images_seen(history: TrainingHistory, source: str) -> Series:
    return history.series(f"samples_{source}")


def _image_share(history: TrainingHistory, source: str) -> Series:
    """Of the images between two logged lines those of the source, 0..1."""
    sources = history.sources()
    iterations, seen = history.table(*(f"samples_{name}" for name in sources))
    if not len(iterations) or source not in sources:
        return history.series()
    new = np.diff(seen, axis=0, prepend=0)
    with np.errstate(invalid="ignore"):
        return iterations, new[:, sources.index(source)] / new.sum(axis=1)
