"""The command line. Large libraries are imported when a command runs, so that the help is fast."""

import ctypes
import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cyclopts import App

from speaq.cli.app import app as serve_app
from speaq.cli.bench import bench
from speaq.cli.convert import convert
from speaq.cli.data import app as data_app
from speaq.cli.demo import demo
from speaq.cli.doctor import doctor
from speaq.cli.export import export
from speaq.cli.plot import app as plot_app
from speaq.cli.predict import predict
from speaq.cli.serve import serve
from speaq.cli.train import evaluate, train
from speaq.errors import PrintableFormatter, SpeaqError, is_out_of_memory, printable

_IMPORTING = "<frozen importlib._bootstrap>"  # the code that imports modules
_LEAST_MEMORY = 1 << 30  # bytes of virtual memory with which the libraries load


def _version() -> str:
    from importlib.metadata import version

    return version("speaq")


app = App(
    name="speaq",
    help="Scene graph generation: train, evaluate and use SpeaQ models.",
    version=_version,
)
for command in (demo, train, evaluate, predict, serve, serve_app, bench, convert, export, doctor):
    app.command(command)
app.command(data_app)
app.command(plot_app)


def run(command: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run an app or a function as a program.

    A SpeaqError or an error of the system, such as a full disk or too little memory, ends it with a message
    and exit code 2, and a closed pipe (``| head``) or Ctrl+C without a message. Characters that the output
    cannot encode are escaped, and so are control characters in messages.
    """
    if logging.lastResort is not None:  # prints warnings where a command sets up no log
        logging.lastResort.setFormatter(PrintableFormatter())
    _keep_freed_memory()
    arguments = [_expand_home(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it is closed (>&-)
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    program = command if isinstance(command, App) else App(default_command=command)
    program.result_action, program.suppress_keyboard_interrupt = "return_value", False
    if not {"--help", "-h", "--version"}.intersection(arguments):
        _check_memory_limit()
    try:
        Path.cwd()
    except FileNotFoundError:  # torch cannot be loaded then
        _fail("the current folder has been deleted; change to another one (cd)")
    try:
        program(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    except (BrokenPipeError, SystemExit) as error:
        if BrokenPipeError not in (type(error), type(error.__context__)):  # for which rich exits with 1
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python does not fail at exit
        raise SystemExit(128 + 13) from None  # as SIGPIPE ends other programs
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _fail(f"cannot write the output: {error.strerror}; free some space, or write elsewhere")
        _fail(str(error))
    except SpeaqError as error:
        # The error of a data loader process contains the traceback of that process.
        _fail(str(error).rpartition("SpeaqError: ")[2].strip())
    except (MemoryError, RuntimeError, ImportError) as error:
        if str(error).startswith("Symlink loop"):  # of Path.resolve, before Python 3.13
            _fail(str(error))
        if not is_out_of_memory(error):
            raise
        reason = f" ({error})" if str(error) else ""
        _fail(
            f"out of memory{reason}; use smaller images or batches, or raise the limit of memory (ulimit -v)"
        )


def _check_memory_limit() -> None:
    """Refuse a limit with which libraries do not load: numpy and scipy wait forever then, or end Python."""
    if sys.platform != "linux":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY:
        _fail(
            f"the limit of memory (ulimit -v) is {limit >> 10} kB; expected at least "
            f"{_LEAST_MEMORY >> 10} kB, with which the libraries load; raise it"
        )


def _keep_freed_memory() -> None:
    """Let the C library of Linux keep freed memory for the next tensor.

    By default it returns blocks above 32 MiB to the system, which clears the pages of the next ones. With
    batches of large images, this takes up to a third of the time of a forward pass.
    """
    if sys.platform == "linux":
        mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
        for option in (mmap_threshold, trim_threshold):
            ctypes.CDLL(None).mallopt(option, 2**31 - 1)


def _expand_home(argument: str) -> str:
    """``--option=~/path`` with the home folder, which a shell does not replace after the equals sign."""
    option, equals, value = argument.partition("=")
    return option + equals + os.path.expanduser(value) if option.startswith("--") else argument  # noqa: PTH111


def _fail(message: str) -> NoReturn:
    with suppress(OSError):  # a full disk, or a closed pipe
        sys.stderr.write(printable(f"speaq: {message}\n"))
    raise SystemExit(2)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Handle Ctrl+C: end at once while a module is imported, else raise KeyboardInterrupt.

    Modules in C replace exceptions, or catch them, as torch does, which then goes on without numpy.
    """
    if any(each.f_code.co_filename == _IMPORTING for each, _ in traceback.walk_stack(frame)):
        os._exit(128 + number)
    raise KeyboardInterrupt


def main(command: Callable[..., Any] = app) -> None:
    """The ``speaq`` program, or one command of it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell has it ignored
        signal.signal(signal.SIGINT, _interrupt)
    try:
        run(command)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # another Ctrl+C ends it at once, without a traceback
