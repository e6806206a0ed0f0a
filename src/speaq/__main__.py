"""The ``speaq`` program, also as ``python -m speaq``."""

import signal
from pkgutil import resolve_name


def main(command: str = "speaq.cli:app") -> None:
    """Run the program, or one command of it, as a module and a name in it.

    Ctrl+C ends it without a traceback, also while it imports libraries.
    """
    try:
        from speaq.cli import main

        main(resolve_name(command))
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


if __name__ == "__main__":
    main()
