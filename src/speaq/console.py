"""A rich console for text with names of files and classes in it."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from speaq.errors import printable


class PlainConsole(Console):
    """Prints text as it is: "[red]" and ":smile:" have no effect, and control characters are escaped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, **options}, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable; those that move the cursor are kept."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)

    def on_broken_pipe(self) -> None:
        """Raise the error, which `speaq.cli.run` handles; rich would exit with 1."""
        raise


def results_console() -> PlainConsole:
    """The standard output, on which tables are not cut where it is a file or a pipe."""
    results = PlainConsole()
    if not results.is_terminal:
        results.width = 200
    return results
