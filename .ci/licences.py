"""The page docs/licences.md, from the metadata of the installed packages (all extras are needed).

python .ci/licences.py > docs/licences.md
"""

import re
import sys
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

HEAD = """# Licences

speaq is under the MIT licence. Its required and optional dependencies declare the licences below;
`requirements.txt` pins the versions that speaq was tested with. The wheels of torch and av contain further
libraries with their own licences, such as CUDA and FFmpeg. Pretrained weights and datasets have their own
licences, too.

| package | for | licence |
| --- | --- | --- |
"""


def main() -> None:
    """Write the page to the standard output."""
    file = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    sys.stdout.write(HEAD)
    for extra, requirements in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for requirement in requirements if extra != "dev" else ():
            name = re.split("[^A-Za-z0-9-]", requirement)[0]
            purpose = f"`speaq[{extra}]`" if extra else "everything"
            sys.stdout.write(f"| {name} | {purpose} | {_licence(distribution(name))} |\n")


def _licence(package: Distribution) -> str:
    """The licence in the metadata of a package, else the first words of its licence file."""
    expression, text = package.metadata["License-Expression"], package.metadata["License"] or ""
    classifiers = package.metadata.get_all("Classifier") or []
    names = [entry.rpartition(" :: ")[2] for entry in classifiers if entry.startswith("License ::")]
    short = text if "\n" not in text else ""
    file = next((file for file in package.files or () if file.name.startswith("LICENSE")), None)
    words = file.read_text().split()[:4] if file else ["unknown"]
    return expression or short or ", ".join(names) or " ".join(words).strip(",")


if __name__ == "__main__":
    main()
