"""``speaq export``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from speaq.errors import SpeaqError


def export(
    model: str,
    output: Path,
    *overrides: str,
    format_: Annotated[Literal["onnx", "torch"], Parameter(name="--format")] = "onnx",
    postprocess: bool = True,
    num_rel: PositiveInt = 1,
    pixels: Literal["uint8", "float32"] = "uint8",
    int8: bool = False,
    opset: int | None = None,
    check: bool = True,
    config_file: Path | None = None,
) -> None:
    """Export a model as an ONNX file or a torch.export program, and compare the file with the model.

    The file takes images (batch, 3, height, width), RGB in 0..255, of any batch size and image size. Its
    metadata has the class names and everything else that speaq.export.OnnxPredictor needs.

    Args:
        model: folder of a saved model, output folder of a training run, or model id on the hub.
        output: file to write, such as model.onnx or model.pt2.
        overrides: KEY VALUE pairs that override the configuration file.
        format_: onnx, or torch for a torch.export program.
        postprocess: output scores, labels, boxes in 0..1 and the best predicates (all post-processing but the
            NMS) instead of the logits and boxes of the network.
        num_rel: with --postprocess, number of predicates per query.
        pixels: data type of the images, with values in 0..255 for both.
        int8: quantize the weight matrices of the transformer to 8 bits, and print how much the outputs
            change.
        opset: ONNX opset version, 18 or later.
        check: do not write a file whose outputs differ from those of the model by more than 0.001.
        config_file: with --int8, a configuration: also print the recalls of the model and of the file on its
            DATASETS.TEST.
    """
    from speaq.console import PlainConsole

    if format_ == "torch" and (int8 or opset is not None):
        raise SpeaqError("--int8 and --opset need --format onnx; leave them out, or use --format onnx")
    if config_file is None and overrides:
        raise SpeaqError(f"{' '.join(overrides)}: overrides need a configuration; name it with --config-file")
    if config_file is not None and not (int8 and postprocess):
        raise SpeaqError(
            "--config-file is for comparing recalls and needs --int8 and --postprocess; leave it out"
        )

    from speaq.export.files import export_model
    from speaq.pretrained import Speaq

    console = PlainConsole()
    network = Speaq.from_pretrained(model)
    with PlainConsole(stderr=True).status("exporting (minutes for a large model)"):
        report = export_model(
            network,
            output,
            format_=format_,
            num_rel=num_rel if postprocess else None,
            pixels=pixels,
            int8=int8,
            opset=opset,
            check=check,
        )
    for table in report.tables():
        console.print(table, "")
    if config_file is not None:
        from speaq.config import load_config
        from speaq.export.recall import recall_table

        console.print(recall_table(load_config(config_file, overrides), network, output), "")
    console.print(f"written to {output} ({output.stat().st_size / 2**20:.1f} MiB)", soft_wrap=True)
