"""Weights given by an address such as ``detectron2://ImageNetPretrained/MSRA/R-101.pkl``."""

import logging
import os
import re
from pathlib import Path

from speaq.errors import SpeaqError

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"([A-Za-z][\w+.-]+):/{1,2}(.+)")  # a Path has one of the two slashes
_RESNET = re.compile(r"ImageNetPretrained/(?:MSRA|torchvision)/R-(50|101)\.pkl")
_HUB = re.compile(r"(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)")
_ZOO = "https://dl.fbaipublicfiles.com/detectron2/"


def local_source(source: str | Path) -> str | Path:
    """The source itself, or the file that the user has of a model of Detectron2's model zoo.

    The file is looked for in the current folder and in the caches of Detectron2.

    Raises:
        SpeaqError: the source is an address, and there is no such file.
    """
    address = _ADDRESS.fullmatch(str(source))
    if not address:
        return source
    scheme, rest = address.groups()
    found = _downloaded(rest) if scheme == "detectron2" else None
    if found:
        logger.info("%s: using the file %s", source, found)
        return found
    hub = _HUB.match(rest) if scheme.startswith("http") else re.fullmatch(r"([\w.-]+/[\w.-]+)", rest)
    if hub and scheme in ("http", "https", "hf"):
        raise SpeaqError(f"{scheme}://{rest}: addresses are not opened; give the id of the model, {hub[1]}")
    where = _ZOO + rest if scheme == "detectron2" else "the file"
    raise SpeaqError(
        f"{scheme}://{rest}: addresses are not opened; download {where} and give the path of the file"
    )


def weights_source(source: str | Path) -> str | Path:
    """As `local_source`; an ImageNet ResNet of Detectron2 that the user does not have is one of the hub.

    The ResNets of the hub have the same layers, but other weights, which the log says.
    """
    address = _ADDRESS.fullmatch(str(source))
    resnet = _RESNET.fullmatch(address[2]) if address and address[1] == "detectron2" else None
    if address is None or resnet is None or _downloaded(address[2]):
        return local_source(source)
    name = f"microsoft/resnet-{resnet[1]}"
    logger.warning(
        "detectron2://%s: there is no local copy; using %s of the hub instead, a ResNet-%s that was trained "
        "on ImageNet too, but has other weights. For the same weights, download %s into the current folder",
        address[2],
        name,
        resnet[1],
        _ZOO + address[2],
    )
    return name


def _downloaded(name: str) -> Path | None:
    """The file of a model of the zoo, such as "ImageNetPretrained/MSRA/R-101.pkl", if the user has it."""
    caches = [os.environ.get("FVCORE_CACHE"), "~/.torch/iopath_cache", "~/.torch/fvcore_cache"]
    candidates = [Path(name).name, name]
    candidates += [f"{cache}/detectron2/{name}" for cache in caches if cache]
    paths = (Path(candidate).expanduser() for candidate in candidates)
    return next((path for path in paths if path.is_file()), None)
