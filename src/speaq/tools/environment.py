"""The check of a machine (``speaq doctor``): whether it can train and predict, and what it has.

Data sets are checked by ``speaq.tools.data_check``.
"""

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from packaging.requirements import Requirement

from speaq.config import Config
from speaq.config.schema import effective_keys, general_key
from speaq.config.settings import flatten
from speaq.errors import SpeaqError
from speaq.files import expand

TRAINING_SECONDS = 300  # the time limit of the trial; a slow machine needs half a minute

_GIB = 2**30


class Finding(NamedTuple):
    """One line of the check: what was looked at, what was found, and what to do about it."""

    status: Literal["ok", "warning", "problem"]
    what: str
    found: str
    advice: str = ""


def check_environment(config: Config, *, train: bool = True) -> Iterator[Finding]:
    """Check this machine.

    Args:
        config: the paths to look at; OUTPUT_DIR and the number of data workers are used as well.
        train: also train a tiny model on generated images.
    """
    yield Finding("ok", "system", f"{platform.system()} {platform.release()} ({platform.machine()})")
    yield Finding("ok", "python", platform.python_version())
    yield from _packages()
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        yield Finding("problem", "torch", f"cannot be imported ({error})", "install torch again")
        return
    yield from _devices()
    yield from _resources(config)
    yield from _communication()
    yield from _paths(config)
    if train:
        yield _trial()


def _judge(good: bool, what: str, found: str, advice: str) -> Finding:
    """A finding that is ok or a warning."""
    return Finding("ok", what, found) if good else Finding("warning", what, found, advice)


def _packages() -> Iterator[Finding]:
    """The dependencies of speaq with their versions, then its extras."""
    fitting, lacking = [f"speaq {version('speaq')}"], dict[str, list[str]]()
    for requirement in map(Requirement, requires("speaq") or ()):
        extra = re.search(r"extra == ['\"](\w+)['\"]", str(requirement.marker))
        try:
            found = version(requirement.name)
            fits = requirement.specifier.contains(found, prereleases=True)
        except PackageNotFoundError:
            found, fits = "not installed", False
        if extra:
            lacking.setdefault(extra[1], []).extend([f"{requirement.name} {found}"] * (not fits))
        elif fits:
            fitting.append(f"{requirement.name} {found}")
        else:
            advice = f"pip install '{requirement.name}{requirement.specifier}'"
            yield Finding("problem", requirement.name, found, advice)
    yield Finding("ok", "packages", ", ".join(fitting))
    for extra, names in lacking.items():
        if extra != "dev":
            command = f"{', '.join(names)} (pip install 'speaq[{extra}]')"
            yield Finding("ok", f"extra {extra}", command if names else "installed")


def _devices() -> Iterator[Finding]:
    """The processor with its threads, and the GPUs."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    features = torch.backends.cpu.get_cpu_capability()
    yield Finding("ok", "processor", f"{_processor()}, {cores} of {os.cpu_count()} cores, {features}")
    threads = torch.get_num_threads()
    text = f"{threads}, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'is not set')}"
    yield _judge(threads <= cores, "threads", text, f"more than cores are slow: set OMP_NUM_THREADS={cores}")
    build = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
    for i in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(i)
        memory = f"{gpu.total_memory / _GIB:.1f} GiB, compute capability {gpu.major}.{gpu.minor}"
        yield Finding("ok", f"cuda:{i}", f"{gpu.name}, {memory}, {build}")
    if not torch.cuda.device_count():
        text = f"no GPU; torch is built for {'the CPU' if build == 'CUDA None' else build}"
        advice = "nvidia-smi is there: install a torch for its driver (https://pytorch.org/get-started)"
        yield _judge(shutil.which("nvidia-smi") is None, "cuda", text, advice)
    if torch.backends.mps.is_available():
        yield Finding("ok", "mps", "available for prediction (--device mps)")


def _processor() -> str:
    """The model of the CPU."""
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    file = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", file.read_text() if file.exists() else "", re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def _resources(config: Config) -> Iterator[Finding]:
    """Memory, shared memory and disk."""
    memory = _memory()
    if memory is not None:
        advice = "use small batches (SOLVER.ACCUMULATE) and DATALOADER.NUM_WORKERS 0"
        yield _judge(memory >= 4 * _GIB, "memory", f"{memory / _GIB:.1f} GiB", advice)
    workers, shared = config.dataloader.num_workers, Path("/dev/shm")
    if shared.is_dir():
        free, advice = shutil.disk_usage(shared).free, "docker run --shm-size 8g, or DATALOADER.NUM_WORKERS 0"
        text = f"{free / _GIB:.1f} GiB free in {shared} for {workers} data workers"
        yield _judge(not workers or free >= _GIB, "shared memory", text, advice)
    folder = Path(config.output_dir).absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        yield Finding("problem", "disk", f"cannot write to {existing}", "choose another OUTPUT_DIR")
        return
    free, advice = shutil.disk_usage(existing).free, "free some space, or choose another OUTPUT_DIR"
    yield _judge(free >= 5 * _GIB, "disk", f"{free / _GIB:.1f} GiB free for OUTPUT_DIR {folder}", advice)


def _memory() -> int | None:
    """Bytes of memory, of the container if there is one; None where it is unknown."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(total, int(text)) if text.isdecimal() else total


def _communication() -> Iterator[Finding]:
    """A sum over one process with each backend, as several processes would use it."""
    import torch
    from torch import distributed

    for backend in ["gloo", *["nccl"] * torch.cuda.is_available()]:
        works, text, values = True, "all_reduce works", torch.ones(3)
        try:
            from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

            store = TCPStore("127.0.0.1", 0, 1, is_master=True, timeout=timedelta(seconds=20))
            distributed.init_process_group(backend, store=store, rank=0, world_size=1)
            distributed.all_reduce(values.cuda() if backend == "nccl" else values)
            distributed.destroy_process_group()
        except (ImportError, RuntimeError, ValueError) as error:
            works, text = False, f"all_reduce fails: {_last_line(str(error))}"
        yield _judge(works, backend, text, "only training on several GPUs or machines needs it")


def _paths(config: Config) -> Iterator[Finding]:
    """The files and folders that the configuration names."""
    from speaq.checkpoints.hub import is_hub_id
    from speaq.data.sources import places, training_places

    datasets, used = config.datasets, set[str]()
    try:
        if datasets.train or datasets.type:
            used |= {place.key for place in training_places(datasets).values()}
        used |= {place.key for name in datasets.test for place in places(datasets, name).values()}
    except SpeaqError as error:
        yield Finding("problem", "DATASETS", str(error))
    defaults = {key.name: key.default for key in effective_keys() if key.is_path and key.name != "OUTPUT_DIR"}
    values = dict(flatten(config.model_dump(by_alias=True)))
    for key, value in values.items():
        section = key.rpartition(".")[0]
        if general_key(key) not in defaults or (value == defaults[general_key(key)] and section not in used):
            continue
        if not value and not key.endswith(".PARQUET") and not values.get(f"{section}.PARQUET"):
            yield Finding("problem", key, "not set", "give it the path of the file or folder")
        for path in filter(None, (value,) if isinstance(value, str) else value):
            if key.startswith("MODEL.") and (is_hub_id(path) or path.startswith("detectron2://")):
                yield Finding("ok", key, f"{path}, which is downloaded unless it is in a cache")
            elif key.endswith(".PARQUET") and "://" in path:
                yield Finding("ok", key, f"{path}, which is read over the network")
            else:
                yield _path(key, Path(path), needed=section in used or not section.startswith("DATASETS."))


def _path(key: str, path: Path, *, needed: bool) -> Finding:
    """Whether a path exists, is of the right kind and can be read."""
    bad: Literal["problem", "warning"] = "problem" if needed else "warning"
    if not path.exists():
        advice = "correct the path" if needed else "DATASETS.TRAIN and TEST do not use it"
        return Finding(bad, key, f"{path} does not exist", advice)
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        return Finding(bad, key, f"{path} cannot be read", "change its permissions")
    is_either = key.startswith("MODEL.") or key.endswith(".PARQUET")
    if not is_either and key.endswith(".IMAGES") != path.is_dir():
        return Finding(bad, key, f"{path} is a {'folder' if path.is_dir() else 'file'}", "correct the path")
    return Finding("ok", key, str(path))


def _trial() -> Finding:
    """Train a tiny model on generated images in a process of its own, and use it."""
    from speaq.pretrained import Speaq
    from speaq.tools.demo import CONFIG
    from speaq.tools.scenes import generate_dataset

    start, advice = time.perf_counter(), "speaq demo shows the whole log of a training"
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data = generate_dataset(Path(folder, "data"), num_images=8, num_val=2, num_test=1)
        run = Path(folder, "run")
        command = [sys.executable, "-P", "-m", "speaq", "train", "--config-file", str(CONFIG)]
        command += [f"OUTPUT_DIR={run}", "SOLVER.MAX_ITER=4", "SOLVER.IMS_PER_BATCH=4", "SOLVER.LOG_PERIOD=1"]
        command += ["SOLVER.WARMUP_ITERS=1", "TEST.EVAL_PERIOD=0"]
        command += [f"DATASETS.VISUAL_GENOME.{key}={path}" for key, path in data.settings.items()]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": TRAINING_SECONDS}
        try:
            done = subprocess.run(command, check=False, **options)
        except subprocess.TimeoutExpired:
            return Finding("problem", "training", f"not finished after {TRAINING_SECONDS} seconds", advice)
        if done.returncode:
            found = f"ends with exit code {done.returncode}: {_last_line(done.stderr)}"
            return Finding("problem", "training", found, advice)
        lines = map(json.loads, (run / "metrics.json").read_text().splitlines())
        losses = [line.get("total_loss") or math.nan for line in lines if "lr" in line]
        if not all(map(math.isfinite, losses)):
            return Finding("problem", "training", f"the loss is not finite: {losses}", advice)
        graph = Speaq.from_pretrained(run).predict(next(data.images.iterdir()))
    seconds = time.perf_counter() - start
    text = f"{len(losses)} steps, loss {losses[0]:.3g} to {losses[-1]:.3g}, {len(graph)} relations predicted"
    return Finding("ok", "training", f"{text}, in {seconds:.0f} seconds")


def _last_line(text: str) -> str:
    return next(iter(text.strip().splitlines()[-1:]), "no message")


def anonymous(text: str) -> str:
    """The text with ~ for the home folder, USER for its name in other paths, and HOST for this machine."""
    home = Path(expand("~"))
    if home.name:
        for path in {str(home), str(home.resolve())}:
            text = re.sub(rf"{re.escape(path)}(?!\w)", "~", text)
        text = re.sub(rf"(?<=[/\\]){re.escape(home.name)}(?!\w)", "USER", text)
    return re.sub(rf"\b{re.escape(platform.node() or 'localhost')}\b", "HOST", text)
