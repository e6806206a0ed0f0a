"""``python -m speaq`` is the ``speaq`` program."""

from speaq.cli import main

if __name__ == "__main__":
    main()
