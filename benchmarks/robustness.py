"""Do trainings survive being killed at any moment, and do long ones need no more than short ones?

    python benchmarks/robustness.py kills --count 50 --seed 0
    python benchmarks/robustness.py steps --steps 20000

``kills`` ends a small training again and again, with SIGKILL, SIGTERM or SIGUSR1, at random moments of its
steps, checkpoints, evaluations and of the writing of the best model, and resumes it. Each time, all that lies
in OUTPUT_DIR under its own name must be complete. Each training that came to its end must have left the same
weights and the same best model as one that was never interrupted, bit for bit, and no other files. All
processes are forked from one that has imported everything.

``steps`` trains for many steps, and prints memory, open files, threads and the sizes of files every 1,000.
"""

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

SETTINGS = {
    "DATASETS.TRAIN": "('VG_train',)",
    "DATASETS.TEST": "('VG_val',)",
    "DATALOADER.NUM_WORKERS": 0,
    "INPUT.MIN_SIZE_TRAIN": (32,),
    "INPUT.MIN_SIZE_TEST": 32,
    "MODEL.BACKBONE.FREEZE_AT": 1,
    "MODEL.DEVICE": "cpu",
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.OUT_FEATURES": "['res3']",
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    "MODEL.DETR.HIDDEN_DIM": 8,
    "MODEL.DETR.NHEADS": 1,
    "MODEL.DETR.DIM_FEEDFORWARD": 8,
    "MODEL.DETR.ENC_LAYERS": 1,
    "MODEL.DETR.DEC_LAYERS": 1,
    "MODEL.DETR.NUM_OBJECT_QUERIES": 8,
    "MODEL.DETR.NUM_RELATION_QUERIES": 8,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.BASE_LR": 1e-3,
    "SEED": 1,
}
PHASES = ("step", "checkpoint", "evaluation", "best model", "end")
KILLS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)


def write_data(folder: Path) -> dict[str, object]:
    """Generate a few images, and return the settings of a training on them."""
    from speaq.tools.scenes import generate_dataset

    data = generate_dataset(folder / "data", num_images=8, num_val=3, num_test=1, image_size=64)
    return SETTINGS | {f"DATASETS.VISUAL_GENOME.{key}": path for key, path in data.settings.items()}


def pairs(settings: dict[str, object]) -> list[str]:
    return [str(item) for pair in settings.items() for item in pair]


def announce_phases(pipe: int) -> None:
    """Let a training of this process write the start and the end of each of its phases to a pipe."""
    from speaq.pretrained import Speaq
    from speaq.training.callbacks.checkpoints import Checkpoints
    from speaq.training.checkpoints import FolderCheckpoint
    from speaq.training.module import SceneGraphModule

    def announce(owner: type, name: str, phase: str) -> None:
        original = getattr(owner, name)

        def announced(*arguments, **options):
            os.write(pipe, f"{phase}\n".encode())
            return original(*arguments, **options)

        setattr(owner, name, announced)

    announce(SceneGraphModule, "training_step", "step")
    announce(FolderCheckpoint, "save_checkpoint", "checkpoint")
    announce(SceneGraphModule, "validation_step", "evaluation")
    announce(Speaq, "save_pretrained", "best model")
    announce(Checkpoints, "on_train_end", "end")


def start(options: Sequence[str], log: Path) -> tuple[int, int]:
    """Fork a training that resumes; returns its process id and the pipe on which it announces its phases."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    code = 1
    try:
        os.close(reading)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        from speaq.config import load_config
        from speaq.training.cluster import Cluster
        from speaq.training.launch import train

        announce_phases(writing)
        train(load_config(None, options), cluster=Cluster(num_gpus=0), resume=True)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:  # noqa: BLE001 - this process must not go on in the caller
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(process: int) -> int:
    """The exit code of a process, negative for a signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_in_phase(process: int, pipe: int, phase: str, occurrence: int, delay: float, how: int) -> bool:
    """Send a signal some time after a phase has begun for the given time; False if it never did."""
    text = ""
    while text.split("\n").count(phase) < occurrence:
        received = os.read(pipe, 1000).decode()
        if not received:
            return False
        text += received
    select.select([], [], [], delay)
    os.kill(process, how)
    return True


def problems_in(output: Path, *, finished: bool) -> list[str]:
    """What is half-written in OUTPUT_DIR under its own name or, once the training has ended, at all."""
    from speaq.errors import SpeaqError
    from speaq.pretrained import Speaq
    from speaq.training.checkpoints import FolderCheckpoint, complete_checkpoints

    problems = []
    try:
        for folder in complete_checkpoints(output):
            FolderCheckpoint().load_checkpoint(folder)
        if (output / "best" / "model.safetensors").exists():
            Speaq.from_pretrained(output / "best")
    except SpeaqError as error:
        problems.append(str(error))
    for file in output.rglob("*.json"):
        if any(part.startswith(".") for part in file.relative_to(output).parts):
            continue  # in the temporary folder of an interrupted process
        lines = file.read_text().splitlines() if file.name == "metrics.json" else [file.read_text()]
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                problems.append(f"{file.relative_to(output)} is not JSON")
    if finished:
        problems += [f"{path.relative_to(output)} remains" for path in output.rglob(".*")]
        problems += [f"{name} remains" for name in ("training.lock",) if (output / name).exists()]
        kept = complete_checkpoints(output)
        problems += [
            f"{folder.relative_to(output)} is half deleted"
            for folder in (output / "checkpoints").iterdir()
            if folder not in kept and not folder.name.startswith(".")
        ]
    return problems


def contents(output: Path) -> dict[str, bytes]:
    """What trainings of the same settings must have in common."""
    files = sorted(output.glob("checkpoints/*/model.safetensors"))
    files += [output / "best" / "model.safetensors", output / "best" / "metric.json", output / "results.json"]
    return {str(file.relative_to(output)): file.read_bytes() for file in files}


def kills(folder: Path, count: int, seed: int, max_iter: int) -> bool:
    """Kill and resume trainings; True if nothing was damaged."""
    import torch

    from speaq.training import launch  # noqa: F401 - so that the trainings need not import it

    torch.set_num_threads(1)
    rng = random.Random(seed)
    settings = write_data(folder) | {
        "SOLVER.MAX_ITER": max_iter,
        "SOLVER.CHECKPOINT_PERIOD": max_iter // 6,
        "SOLVER.MAX_TO_KEEP": 2,
        "SOLVER.LOG_PERIOD": 1,
        "TEST.EVAL_PERIOD": max_iter // 3,
    }
    whole = folder / "whole"
    process, pipe = start(pairs(settings | {"OUTPUT_DIR": whole}), folder / "whole.txt")
    begin = time.monotonic()
    if wait_for(process):
        print((folder / "whole.txt").read_text())
        return False
    print(f"uninterrupted: {max_iter} steps in {time.monotonic() - begin:.1f} s\n")
    os.close(pipe)
    expected = contents(whole)
    last = f"checkpoints/iter_{max_iter:07d}/model.safetensors"
    plan = [
        (PHASES[i % len(PHASES)], rng.choice(KILLS), rng.randint(1, 12), rng.uniform(0, 0.04))
        for i in range(count)
    ]
    rng.shuffle(plan)
    done: Counter[tuple[str, str]] = Counter()
    problems: list[str] = []
    trainings = 0
    while plan:
        trainings += 1
        output, log = folder / f"killed{trainings}", folder / f"killed{trainings}.txt"
        while True:
            process, pipe = start(pairs(settings | {"OUTPUT_DIR": output}), log)
            killed = ""
            if plan:
                phase, how, occurrence, delay = plan[-1]
                times = occurrence if phase == "step" else 1
                if kill_in_phase(process, pipe, phase, times, delay, how):
                    killed = f"{signal.Signals(how).name} in {phase}, {1000 * delay:.0f} ms after its start"
            code = wait_for(process)
            os.close(pipe)
            if killed and (code or how != signal.SIGKILL):  # a finished run ends with 0
                plan.pop()
                done[phase, signal.Signals(how).name] += 1
            elif plan:  # it ended before: try earlier the next time
                plan[-1] = (phase, how, max(occurrence // 2, 1), delay / 2)
            if code not in (0, -how, 128 + how):
                problems.append(f"{output.name}: ended with {code} after {killed or 'no signal'}; see {log}")
                plan = []
                break
            found = problems_in(output, finished=code == 0)
            problems += [f"{output.name}: {problem}, last: {killed}" for problem in found]
            if code == 0:
                break
        result = contents(output) if not code else {}
        for name, content in expected.items():
            # After a signal between two periods, the checkpoint of that step is one of the two that are kept.
            replaced = name not in result and name.startswith("checkpoints/") and name != last
            if result.get(name) != content and not replaced:
                problems.append(f"{output.name}: {name} differs")
    names = sorted({name for _, name in done})
    print(f"{'phase':12}" + "".join(f"{name:>10}" for name in names))
    for phase in PHASES:
        print(f"{phase:12}" + "".join(f"{done[phase, name]:>10}" for name in names))
    print(f"\n{done.total()} kills in {trainings} trainings, each then resumed to its end: ", end="")
    print("\n".join([f"{len(problems)} problems", *problems]))
    return not problems


def state_of(process: int) -> tuple[float, int, int]:
    """Memory in MB, open files and threads of a process and its children."""
    memory = files = threads = 0
    for task in [process, *children(process)]:
        try:
            status = Path(f"/proc/{task}/status").read_text()
            fields = dict(line.split(":", 1) for line in status.splitlines())
            memory += int(fields["VmRSS"].split()[0])
            threads += int(fields["Threads"])
            files += len(list(Path(f"/proc/{task}/fd").iterdir()))
        except (OSError, KeyError):
            continue  # it has ended
    return memory / 1024, files, threads


def children(process: int) -> list[int]:
    found = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(number) for number in file.read_text().split()]
    return found


def size(path: Path) -> float:
    """Size of a file or a folder in KB."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1024


def steps(folder: Path, number: int) -> bool:
    """Print what a long training needs every 1,000 steps; True if it came to its end."""
    output = folder / "long"
    settings = write_data(folder) | {
        "OUTPUT_DIR": output,
        "DATALOADER.NUM_WORKERS": 1,
        "SOLVER.MAX_ITER": number,
        "SOLVER.CHECKPOINT_PERIOD": 100,
        "SOLVER.MAX_TO_KEEP": 3,
        "SOLVER.LOG_PERIOD": 20,
        "TEST.EVAL_PERIOD": 500,
    }
    command = [sys.executable, "-m", "speaq", "train", "--num-gpus", "0", *pairs(settings)]
    with (folder / "long.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    titles = ("step", "s/1000", "MB", "files", "threads", "checkpoints KB", "log.txt KB", "metrics.json KB")
    print("  ".join([*titles, "tensorboard KB"]), flush=True)
    metrics, shown, since = output / "metrics.json", 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.5)
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        step = json.loads(lines[-1])["iteration"] + 1 if lines else 0
        if step // 1000 > shown:
            shown, before, since = step // 1000, since, time.monotonic()
            memory, files, threads = state_of(process.pid)
            sizes = [
                size(output / name) for name in ("checkpoints", "log.txt", "metrics.json", "tensorboard")
            ]
            row = [
                step,
                f"{since - before:.0f}",
                f"{memory:.0f}",
                files,
                threads,
                *(f"{kb:.0f}" for kb in sizes),
            ]
            widths = [len(title) for title in (*titles, "tensorboard KB")]
            print("  ".join(f"{item:>{width}}" for item, width in zip(row, widths, strict=True)), flush=True)
    print(f"exit code {process.returncode}")
    return process.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("kills", "steps"))
    parser.add_argument("--count", type=int, default=50, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--max-iter", type=int, default=24, help="steps of a training that is killed")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of the long training")
    parser.add_argument("--folder", type=Path, help="keep all files there; by default in a temporary folder")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.what == "kills":
            good = kills(folder, arguments.count, arguments.seed, arguments.max_iter)
        else:
            good = steps(folder, arguments.steps)
    sys.exit(not good)


if __name__ == "__main__":
    main()
