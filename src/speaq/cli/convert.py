"""``speaq convert``."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from speaq.errors import SpeaqError

if TYPE_CHECKING:
    from rich.table import Table

    from speaq.checkpoints.convert import ConvertedModel


def convert(
    checkpoint: str,
    out: Path,
    *overrides: str,
    mapping: Path | None = None,
    config_file: Path | None = None,
    to: Literal["speaq", "published"] = "speaq",
) -> None:
    """Convert a checkpoint of the published implementation to a model for Speaq.from_pretrained, or back.

    The checkpoint is a scene graph model, the object detector that training starts from, a DETR, or an
    ImageNet ResNet. The architecture is inferred from the shapes of its weights. Settings that are not
    inferred, such as the number of attention heads, are those of the published models, unless the
    configuration file or the KEY VALUE pairs set them.

    Args:
        checkpoint: .pth, .pkl or .safetensors file, or the folder of a DETR of transformers; with --to
            published, the folder or hub id of a model.
        out: folder to write; with --to published, the .pth file to write.
        overrides: KEY VALUE pairs that override the configuration file, such as MODEL.DETR.NHEADS 4.
        mapping: mapping dictionary (JSON) with the names of the classes.
        config_file: YAML configuration that the checkpoint was trained with.
        to: format to write.
    """
    from speaq.checkpoints.convert import convert_checkpoint, write_published
    from speaq.checkpoints.saved_models import save_pretrained
    from speaq.config import load_config
    from speaq.console import PlainConsole
    from speaq.data.vg_dictionary import read_vocabulary

    console = PlainConsole()
    if to == "published":
        if mapping or config_file or overrides:
            raise SpeaqError("--to published needs no mapping and no configuration: the model has both")
        number = write_published(checkpoint, out)
        console.print(f"{number} tensors under their published names, written to {out}", soft_wrap=True)
        return
    if mapping is None and "://" not in checkpoint and not Path(checkpoint).expanduser().exists():
        raise SpeaqError(f"{checkpoint}: there is no such checkpoint")
    if mapping is None:
        raise SpeaqError("a checkpoint does not contain the names of its classes: give --mapping DICTS.json")
    converted = convert_checkpoint(
        checkpoint,
        vocabulary=read_vocabulary(mapping),
        config=load_config(config_file, overrides),
        trained_with=config_file is not None,
    )
    save_pretrained(converted.model, out)
    console.print(_table(checkpoint, converted))
    console.print(f"written to {out}", soft_wrap=True)


def _table(checkpoint: str, converted: "ConvertedModel") -> "Table":
    """The architecture of a checkpoint, and which of its tensors were loaded."""
    from rich.table import Table
    from rich.text import Text

    config, report = converted.model.config, converted.report
    resnet, kind = config.backbone, converted.architecture.kind
    depths = converted.architecture.resnet_depths
    inferred = converted.architecture.known
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def add(name: str, text: str, *, inferred_from_shapes: bool = True, style: str = "") -> None:
        table.add_row(name, Text(text if inferred_from_shapes else f"{text} (from the configuration)", style))

    add("Checkpoint", f"{checkpoint}: a {kind}")
    name = f"ResNet-{depths[0]}" if len(depths) == 1 else str(resnet.get("model_type"))
    stages = f", {len(resnet['depths'])} stages" if "depths" in resnet else ""
    add("Backbone", f"{name}{stages}", inferred_from_shapes=bool(depths))
    for name, text, value in (
        ("Hidden size", f"{config.hidden_dim}, feed-forward {config.feedforward_dim}", "hidden_dim"),
        ("Layers", f"{config.encoder_layers} encoder, {config.decoder_layers} decoder", "decoder_layers"),
        ("Entity queries", f"{config.num_queries}", "num_queries"),
        (
            "Predicate queries",
            f"{config.num_queries * config.query_multiplier}, {config.query_multiplier} per entity query",
            "query_multiplier",
        ),
    ):
        add(name, text, inferred_from_shapes=value in inferred)
    add("Classes", f"{len(config.objects)} objects, {len(config.predicates)} predicates")
    add("Not in shapes", f"{config.num_heads} heads, dropout {config.dropout:g}, pixels {config.pixel_order}")
    add("Loaded", f"{len(report.loaded)} tensors")
    for name, tensors, style in (
        ("Initialized", report.missing, "yellow"),
        ("Left out", report.unexpected, "yellow"),
        ("NaN or infinite", report.not_finite, "bold red"),
    ):
        if tensors:
            add(name, _summarize(tensors), style=style)
    return table


def _summarize(names: list[str]) -> str:
    """The number of tensors, and the modules that they are in without their layer numbers."""
    import re

    modules = list(dict.fromkeys(re.sub(r"\.\d+\..*|\.(weight|bias)$", "", name) for name in names))
    return f"{len(names)} tensors: {', '.join(modules)}"
