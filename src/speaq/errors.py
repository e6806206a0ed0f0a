"""The one exception that means "the user can fix this": shown without a traceback, exit code 2."""


class SpeaqError(Exception):
    """A mistake in a file, key, path or command line, told to the person who can mend it.

    The message names the file, key or image, what was expected, what was found, and what to do.
    """
