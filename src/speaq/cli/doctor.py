"""``speaq doctor``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def doctor(
    *overrides: str,
    config_file: Path | None = None,
    train: bool = True,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Check whether this machine can train and predict; paste the output into bug reports.

    The output has no user or host names. The exit code is 0 if there is no problem, otherwise 1.

    Args:
        overrides: KEY VALUE pairs that override the configuration file.
        config_file: YAML configuration; its paths and OUTPUT_DIR are checked.
        train: also train a tiny model on generated images, which takes about ten seconds.
        as_json: print the result as JSON.
    """
    import json

    from rich.text import Text

    from speaq.config import load_config
    from speaq.console import PlainConsole
    from speaq.tools.environment import Finding, anonymous, check_environment

    console = PlainConsole()
    styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
    findings = []
    for each in check_environment(load_config(config_file, overrides), train=train):
        finding = Finding(each.status, *map(anonymous, each[1:]))
        findings.append(finding)
        if not as_json:
            line = Text.assemble(
                (f"{finding.status:<8}", styles[finding.status]), f" {finding.what}: {finding.found}"
            )
            console.print(line + Text(f"; {finding.advice}" * bool(finding.advice)), soft_wrap=True)
    problems, warnings = (sum(each.status == kind for each in findings) for kind in ("problem", "warning"))
    if as_json:
        console.print(json.dumps([each._asdict() for each in findings], indent=1), soft_wrap=True)
    else:
        console.print(f"problems: {problems}, warnings: {warnings}")
    if problems:
        raise SystemExit(1)
