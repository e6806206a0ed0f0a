"""The command line. Heavy libraries are imported when a command runs, so that help answers at once."""

import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Any, NoReturn

from cyclopts import App

from speaq.cli.bench import bench
from speaq.cli.convert import convert
from speaq.cli.data import app as data_app
from speaq.cli.demo import demo
from speaq.cli.export import export
from speaq.cli.plot import app as plot_app
from speaq.cli.predict import predict
from speaq.cli.train import evaluate, train
from speaq.errors import SpeaqError


def _version() -> str:
    from importlib.metadata import version

    return version("speaq")


app = App(
    name="speaq",
    help="Scene graph generation: train, evaluate and use SpeaQ models.",
    version=_version,
    help_format="plaintext",
)
for command in (demo, train, evaluate, predict, bench, convert, export):
    app.command(command)
app.command(data_app)
app.command(plot_app)


def run(command: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run an app or a function as a program: a user's mistake ends it with a message and exit code 2.

    So does what the system refuses, such as writing to a full disk. A reader that goes away (``| head``) ends
    it without a word. Characters that the output has no code for are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    program = command if isinstance(command, App) else App(default_command=command, help_format="plaintext")
    program.result_action = "return_value"
    try:
        program(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more fails when Python ends
        raise SystemExit(128 + 13) from None  # as SIGPIPE ends other programs
    except OSError as error:
        _fail(str(error))
    except SpeaqError as error:
        # From a process of the data loader the message comes wrapped in that process's traceback.
        _fail(str(error).rpartition("SpeaqError: ")[2].strip())


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"speaq: {message}\n")
    raise SystemExit(2)


def main() -> None:
    """The ``speaq`` program."""
    run(app)
