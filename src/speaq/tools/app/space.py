"""Write the files of a Hugging Face Space that serves a model."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from speaq.checkpoints.saved_models import find_model
from speaq.errors import SpeaqError
from speaq.files import expand

GRADIO = "6.31.0"
_APP = '''"""Scene graphs of photos, in a browser."""

import os
from pathlib import Path

from speaq.cli.app import app

MODELS = {models}  # folders or ONNX files beside this file, or model ids on the hub

if __name__ == "__main__":
    os.chdir(Path(__file__).parent)
    app(MODELS)
'''
_CARD = """---
title: Scene graphs
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {gradio}
app_file: app.py
pinned: false
{models}---

Upload or take a photo: the objects in it, and the relations between them as *subject, predicate, object*,
found by {names} with speaq. Photos are not stored.
"""


def write_space(models: Sequence[str], folder: Path) -> None:
    """Write ``app.py``, ``requirements.txt`` and ``README.md`` to a new folder.

    Args:
        models: model ids on the hub; saved models, trainings and ONNX files are copied into the folder.
        folder: must be missing or empty.

    Raises:
        SpeaqError: the folder has files, or there is no such model.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise SpeaqError(f"{folder}: expected a new or empty folder for the Space, found files in it")
    local = {model: _source(path) for model in models if (path := Path(expand(model))).exists()}
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for model in models:
        name = model
        if model in local:
            name = "model" if len(models) == 1 else f"model_{len(names) + 1}"
            if local[model].is_dir():
                shutil.copytree(local[model], folder / name)
            else:
                name += ".onnx"
                shutil.copyfile(local[model], folder / name)
        names.append(name)
    (folder / "app.py").write_text(_APP.format(models=json.dumps(names)), encoding="utf-8")
    extras = "app,onnx" if any(name.endswith(".onnx") for name in names) else "app"
    (folder / "requirements.txt").write_text(f"speaq[{extras}]\n", encoding="utf-8")
    ids = [model for model in models if model not in local]
    listed = "models:\n" + "".join(f"  - {json.dumps(model)}\n" for model in ids) if ids else ""
    words = ", ".join(f"`{model}`" for model in ids) or "a model in this repository"
    card = _CARD.format(gradio=GRADIO, models=listed, names=words)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _source(path: Path) -> Path:
    """What to copy for a model: an ONNX file, or the folder of a saved model."""
    return path if path.is_file() and path.suffix.lower() == ".onnx" else find_model(path)
