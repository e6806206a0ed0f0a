"""Run `speaq data` within the test process."""

from speaq.cli import app, run


def run_data_command(capsys, *arguments):
    """Exit code, standard output and standard error of `speaq data ARGUMENTS`."""
    code = 0
    try:
        run(app, ["data", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return code, captured.out, captured.err
