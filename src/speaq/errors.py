"""The exception for errors that the user can fix."""


class SpeaqError(Exception):
    """An error in a file, setting, path or command line; the program shows it without a traceback.

    The message names the file, key or image, what was expected, what was found, and what to do.
    """
