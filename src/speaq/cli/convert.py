"""``speaq convert``."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from speaq.errors import SpeaqError

if TYPE_CHECKING:
    from rich.table import Table

    from speaq.checkpoints.convert import Conversion


def convert(
    checkpoint: str,
    out: Path,
    *overrides: str,
    mapping: Path | None = None,
    config_file: Path | None = None,
    to: Literal["speaq", "published"] = "speaq",
) -> None:
    """Convert a published checkpoint to a folder that Speaq.from_pretrained loads, or back.

    The checkpoint is a scene graph model, the object detector that trainings start from, or an ImageNet
    ResNet. Its shapes tell the architecture. What they do not tell, such as the number of attention heads, is
    that of the published models, unless the configuration or the KEY VALUE pairs say otherwise.

    Args:
        checkpoint: .pth or .pkl file; with --to published a folder of ours or an id on the hub.
        out: folder to write; with --to published the .pth file to write.
        overrides: KEY VALUE pairs that win over the configuration file, such as MODEL.DETR.NHEADS 4.
        mapping: mapping dictionary (JSON) with the names of the classes.
        config_file: YAML configuration that the checkpoint was trained with.
        to: which format to write.
    """
    if to == "published":
        if mapping or config_file or overrides:
            raise SpeaqError("--to published needs no mapping and no configuration: the model has both")
    elif mapping is None:
        raise SpeaqError("whose classes? A checkpoint has no names: give --mapping DICTS.json of its data")

    from rich.console import Console

    from speaq.checkpoints.convert import convert_checkpoint, write_published
    from speaq.checkpoints.weights import save_pretrained

    console = Console(markup=False, emoji=False, highlight=False)
    if to == "published":
        number = write_published(checkpoint, out)
        console.print(f"{number} tensors under their published names, written to {out}", soft_wrap=True)
        return

    from speaq.config import load_config
    from speaq.data.vg_dictionary import read_vocabulary

    assert mapping is not None
    conversion = convert_checkpoint(
        Path(checkpoint),
        vocabulary=read_vocabulary(mapping),
        config=load_config(config_file, overrides),
        trained_with=config_file is not None,
    )
    save_pretrained(conversion.model, out)
    console.print(_table(checkpoint, conversion))
    console.print(f"written to {out}", soft_wrap=True)


def _table(checkpoint: str, conversion: "Conversion") -> "Table":
    """What was read, what it is, and what became of its tensors."""
    from rich.table import Table
    from rich.text import Text

    config, report = conversion.model.config, conversion.report
    resnet, kind = config.backbone, conversion.architecture.kind
    depths = conversion.architecture.resnet_depths
    known = conversion.architecture.known()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def add(name: str, text: str, style: str = "") -> None:
        table.add_row(name, Text(text, style))

    def told(text: str, *names: str) -> str:
        return text if all(name in known for name in names) else f"{text} (from the configuration)"

    add("Checkpoint", f"{checkpoint}: a {kind}")
    name = f"ResNet-{depths[0]}" if len(depths) == 1 else str(resnet.get("model_type"))
    stages = f", {len(resnet['depths'])} stages" if "depths" in resnet else ""
    add("Backbone", f"{name}{stages}{'' if depths else ' (from the configuration)'}")
    add("Hidden size", told(f"{config.hidden_dim}, feed-forward {config.feedforward_dim}", "hidden_dim"))
    layers = f"{config.encoder_layers} encoder, {config.decoder_layers} decoder"
    add("Layers", told(layers, "decoder_layers"))
    add("Entity queries", told(f"{config.num_queries}", "num_queries"))
    predicates = f"{config.num_queries * config.query_multiplier}, {config.query_multiplier} per entity query"
    add("Predicate queries", told(predicates, "query_multiplier"))
    add("Classes", f"{len(config.objects)} objects, {len(config.predicates)} predicates")
    add("Not in shapes", f"{config.num_heads} heads, dropout {config.dropout:g}, pixels {config.pixel_order}")
    add("Loaded", f"{len(report.loaded)} tensors")
    if report.missing:
        add("Initialised anew", _listed(report.missing), "yellow")
    if report.unexpected:
        add("Left out", _listed(report.unexpected), "yellow")
    if report.not_finite:
        add("NaN or infinite", _listed(report.not_finite), "bold red")
    return table


def _listed(names: list[str]) -> str:
    """Tensors by the module they are in, which may be there many times over."""
    import re

    modules = list(dict.fromkeys(re.sub(r"\.\d+\..*|\.(weight|bias)$", "", name) for name in names))
    return f"{len(names)} tensors: {', '.join(modules)}"
