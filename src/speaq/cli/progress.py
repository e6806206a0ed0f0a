"""What the predictions of images and of shards show."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speaq.errors import first_names, printable

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar() -> "Progress":
    """A progress bar on stderr, if that is a terminal."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from speaq.console import PlainConsole

    console = PlainConsole(stderr=True)
    return Progress(
        *Progress.get_default_columns()[:-1],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # so that redirected output stays in its file
    )


def print_summary(total: int, started: int, unreadable: Sequence[Any], folder: Path) -> None:
    """Print the number of images, such as "198 of 200 images; 2 could not be read: a.jpg, b.jpg"."""
    text = f"{total - len(unreadable)} of {total} images"
    if total > started:
        text += f" ({total - started} had results already)"
    if unreadable:
        text += f"; {len(unreadable)} could not be read: {first_names(unreadable)}"
    sys.stdout.write(printable(f"{text}\nwritten to {folder}\n"))
