"""Write the files of a Hugging Face Space that serves a model."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from speaq.checkpoints.saved_models import find_model
from speaq.errors import SpeaqError

GRADIO = "6.31.0"
_APP = '''"""Scene graphs of photos, in a browser."""

from pathlib import Path

from speaq.tools.app.page import serve

MODELS = {models}  # folders beside this file, or model ids on the hub

if __name__ == "__main__":
    here = Path(__file__).parent
    serve([str(here / model) if (here / model).is_dir() else model for model in MODELS])
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
        models: model ids on the hub; saved models and trainings are copied into the folder.
        folder: must be missing or empty.

    Raises:
        SpeaqError: the folder has files, or there is no such model.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise SpeaqError(f"{folder}: expected a new or empty folder for the Space, found files in it")
    local = {model: find_model(Path(model)) for model in models if Path(model).exists()}
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for model in models:
        name = model
        if model in local:
            name = "model" if len(models) == 1 else f"model_{len(names) + 1}"
            shutil.copytree(local[model], folder / name)
        names.append(name)
    (folder / "app.py").write_text(_APP.format(models=json.dumps(names)), encoding="utf-8")
    (folder / "requirements.txt").write_text("speaq[app]\n", encoding="utf-8")
    ids = [model for model in models if model not in local]
    listed = "models:\n" + "".join(f"  - {json.dumps(model)}\n" for model in ids) if ids else ""
    words = ", ".join(f"`{model}`" for model in ids) or "a model in this repository"
    card = _CARD.format(gradio=GRADIO, models=listed, names=words)
    (folder / "README.md").write_text(card, encoding="utf-8")
