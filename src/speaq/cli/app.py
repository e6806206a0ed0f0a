"""``speaq app``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from speaq.cli.models import load_predictor
from speaq.errors import SpeaqError, printable


def app(
    models: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    *,
    data: Path | None = None,
    predictions: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative=())] = None,
    space: Path | None = None,
    host: str | None = None,
    port: PositiveInt | None = None,
    device: str = "cpu",
) -> None:
    """Open a web app that predicts the scene graphs of photos and browses a dataset.

    The page is served on this machine alone until Ctrl+C; nothing is sent anywhere else.

    Args:
        models: folders of saved models, output folders of training runs, model ids on the hub, or ONNX files
            of speaq export; several are shown side by side.
        data: configuration, or folder of a dataset, to browse.
        predictions: saved predictions for the dataset, in any format of speaq evaluate --predictions.
        space: write a Hugging Face Space that serves the models to this new folder, and start no app.
        host: address to listen on; by default only this machine can connect, with 0.0.0.0 others can, too.
        port: port to listen on; by default the first free one from 7860.
        device: cpu, cuda, cuda:1, ...
    """
    if not models and (data is None or space is not None):
        raise SpeaqError("nothing to show: give a MODEL" + (", or --data CONFIG" if space is None else ""))
    if predictions and data is None:
        raise SpeaqError("--predictions: expected --data CONFIG, the data set that they are for")
    if space is not None:
        from speaq.tools.app.space import write_space

        if data is not None:
            raise SpeaqError("--space: expected models alone, found --data; a Space has no data set")
        write_space(models or [], space)
        sys.stdout.write(printable(f"written to {space}: upload it, or run python {space / 'app.py'}\n"))
        return
    try:
        from speaq.tools.app.page import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise SpeaqError('speaq app needs the package gradio: pip install "speaq[app]"') from error
    loaded = {model: load_predictor(model, None, device, "float32") for model in models or []}
    serve(loaded, data=data, predictions=predictions or [], host=host, port=port)
