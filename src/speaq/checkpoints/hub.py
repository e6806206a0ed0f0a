"""Models on the Hugging Face hub.

`huggingface_hub.PyTorchModelHubMixin` is not used: by default it ignores missing and unexpected weights.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from speaq.checkpoints.card import CARD_FILE
from speaq.errors import SpeaqError

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".pkl", ".ckpt", ".bin", ".safetensors")
"""Suffixes of files of weights."""

_TIMEOUT = 10.0  # seconds to wait for an answer of the hub; huggingface_hub asks for lists up to six times
_log = logging.getLogger(__name__)
_NAME = r"[A-Za-z0-9][\w.-]*"


def is_hub_id(source: str | Path) -> bool:
    """Whether ``source`` has the form ``owner/name`` of a model on the hub and is not a local path."""
    path = Path(source)
    return (
        re.fullmatch(f"{_NAME}/{_NAME}", str(source)) is not None
        and path.suffix.lower() not in (*CHECKPOINT_SUFFIXES, ".pt2", ".onnx")
        and not path.exists()
        and not path.parent.is_dir()
    )


@contextmanager
def _limited_waiting() -> Iterator[None]:
    """Give the requests of huggingface_hub a timeout, where it would wait without limit."""
    from huggingface_hub import get_session

    def limit(request: Any) -> None:
        timeouts = request.extensions["timeout"]
        request.extensions["timeout"] = {kind: value or _TIMEOUT for kind, value in timeouts.items()}

    hooks = get_session().event_hooks["request"]
    hooks.append(limit)
    try:
        yield
    finally:
        hooks.remove(limit)


def download(
    repo_id: str,
    files: list[str],
    revision: str | None = None,
    repo_type: Literal["model", "dataset"] = "model",
) -> Path:
    """Download files of a model or a data set, unless they are in the cache, and return their folder.

    What is not in the cache may be a misspelled path: a warning says that there is no such folder.

    Raises:
        SpeaqError: there is none on the hub, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]  # of httpx or httpx2, depending on its version
    )

    repo: dict[str, Any] = {"repo_id": repo_id, "revision": revision, "repo_type": repo_type}
    refusal = None
    try:
        with _limited_waiting():
            if not isinstance(try_to_load_from_cache(filename=files[0], **repo), str):
                _log.warning(
                    "%s: there is no such folder; looking for this %s on the hub", repo_id, repo_type
                )
                try:
                    HfApi().repo_info(**repo)  # for its reason, which snapshot_download does not give
                except (HTTPError, OSError) as error:
                    refusal = error
            return Path(snapshot_download(allow_patterns=files, local_files_only=refusal is not None, **repo))
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(refusal or error).split())
        raise SpeaqError(
            f"{repo_id}: neither a local folder nor a readable {repo_type} on the hub ({reason})"
        ) from None


def upload(folder: Path, repo_id: str, *, replace_card: bool, private: bool, token: str | None) -> str:
    """Upload a folder as the model ``repo_id``, which is created if it does not exist; return its address.

    With ``replace_card`` the model card of the folder replaces one on the hub. See `Speaq.push_to_hub`.

    Raises:
        SpeaqError: the hub refuses the upload, or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        keep_card = not replace_card and api.file_exists(repo_id, CARD_FILE)
        ignored = [CARD_FILE] if keep_card else None
        return str(api.upload_folder(repo_id=repo_id, folder_path=str(folder), ignore_patterns=ignored))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SpeaqError(f"{repo_id}: the model cannot be uploaded to the hub ({reason})") from error
