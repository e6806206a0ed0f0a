"""README, documentation and project files: links, commands, code and names in them exist."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from cyclopts import App

from speaq.cli import app
from speaq.cli.plot import log, predicates
from speaq.cli.train import train
from speaq.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = {
    "train_iterative_model.py": train,
    "visualize_predicate_distribution.py": predicates,
    "vis_train_log.py": log,
}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of each command in the bash blocks of a page."""
    text = "".join(blocks(page, "bash")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def parse(program: App, arguments: list[str]) -> dict[str, object]:
    """The arguments of a command by name; raises what cyclopts raises where it does not accept them."""
    _, bound, _ = program.parse_args(arguments, exit_on_error=False, print_error=False)
    return dict(bound.arguments)


@each_page
def test_relative_links_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@each_page
def test_files_that_are_named_exist(page):
    folders = "configs|docs|src/speaq|tests|benchmarks|notebooks"
    pattern = rf"(?<![\w/.])(?:{folders})/[\w/.-]*\w"
    names = set(re.findall(pattern, read(page))) - {"configs/my_data.yaml"}
    assert not [name for name in names if not (ROOT / name).exists()]


@each_page
def test_commands_parse(page):
    targets = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    for words in commands(page):
        program, *arguments = words
        if program == "speaq":
            parse(app, arguments)
        elif program == "make":
            assert set(arguments) <= targets, words
        elif program == "python" and arguments[0] in SCRIPTS:
            parse(App(default_command=SCRIPTS[arguments[0]]), arguments[1:])
        elif program == "python" and arguments[0] == "-m":
            import_module(arguments[1])
        elif program == "python":
            assert (ROOT / arguments[0]).is_file(), words
        elif program in ("torchrun", "srun"):
            script = next(word for word in arguments if word in SCRIPTS)
            parse(App(default_command=SCRIPTS[script]), arguments[arguments.index(script) + 1 :])
        else:
            assert program in ("pip", "pre-commit", "source"), words


@each_page
def test_keys_in_commands_exist(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(page):
        if words[0] == "python" and words[1] in SCRIPTS:
            found = parse(App(default_command=SCRIPTS[words[1]]), words[2:])
        elif words[0] == "speaq":
            found = parse(app, words[1:])
        else:
            continue
        file = found.get("config_file")
        if file is not None and not (isinstance(file, Path) and file.exists()):
            assert str(file) == str(Path("configs/my_data.yaml")), words  # the example in docs/your_data.md
            file = None
        overrides = found.get("overrides", ())
        assert isinstance(overrides, tuple)
        config = load_config(file, overrides)
        assert not (set(overrides[::2]) & set(config.unused)), words


@each_page
def test_yaml_is_a_configuration(page, tmp_path):
    for number, text in enumerate(blocks(page, "yaml")):
        base = yaml.safe_load(text).get("_BASE_")
        file = tmp_path / f"{number}.yaml"
        file.write_text(text.replace(str(base), str(ROOT / "configs" / str(base))), encoding="utf-8")
        assert not load_config(file).unused


@each_page
def test_python_compiles_and_its_imports_exist(page):
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                module = import_module(str(node.module))
                assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "speaq":
                assert hasattr(import_module("speaq"), node.attr), ast.unparse(node)


def test_names_in_the_api_reference_exist():
    names = re.findall(r"^::: ([\w.]+)$", read(ROOT / "docs" / "api.md"), re.MULTILINE)
    assert len(names) >= 9
    for module, _, name in (dotted.rpartition(".") for dotted in names):
        assert hasattr(import_module(module), name), f"{module}.{name}"


def test_pages_are_in_the_navigation():
    text = read(ROOT / "mkdocs.yml")
    assert set(re.findall(r": (\w+\.md)$", text, re.MULTILINE)) == {page.name for page in PAGES[2:]}


def test_readme_lists_all_commands():
    text = read(ROOT / "README.md")
    listed = set(re.findall(r"^\| `speaq ((?:data |plot )?[a-z]+)", text, re.MULTILINE))
    names = set()
    for command in app:
        if command in ("data", "plot"):
            names |= {f"{command} {name}" for name in app[command] if not name.startswith("-")}
        elif not command.startswith("-"):
            names.add(command)
    assert listed == names


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda script: script.name)
def test_benchmarks_start(script):
    subprocess.run([sys.executable, str(script), "--help"], check=True, capture_output=True)


def test_citation_has_the_paper():
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    paper = citation["preferred-citation"]
    assert paper["year"] == 2024 and "arXiv:2403.17709" in str(paper["identifiers"])
    assert [author["family-names"] for author in paper["authors"]] == [
        "Kim",
        "Park",
        "Park",
        "Kim",
        "Kim",
        "Kim",
    ]


def test_dependencies_are_pinned_and_their_licences_listed():
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}

    def pinned(file: str) -> set[str]:
        return names(re.findall(r"^\S+==\S+$", read(ROOT / file), re.MULTILINE))

    assert pinned("requirements.txt") == names(project["dependencies"])
    assert pinned("requirements-dev.txt") == names(extras["dev"])
    rows = re.findall(r"^\| (\S+) \| \S+ \| (\S.*) \|$", read(ROOT / "docs" / "licences.md"), re.MULTILINE)
    used = [project["dependencies"], *(extras[extra] for extra in extras if extra != "dev")]
    listed = {name for name, licence in rows if licence not in ("licence", "---", "unknown")}
    assert listed == set().union(*map(names, used)), "see .ci/licences.py"
