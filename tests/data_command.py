"""Runs `speaq data` as a program would."""

from speaq.cli import app, run


def command(capsys, *arguments):
    """Exit code and output."""
    code = 0
    try:
        run(app, ["data", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return code, captured.out, captured.err
