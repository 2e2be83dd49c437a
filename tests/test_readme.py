"""The README tells the truth where a program can tell: its files exist, its Python runs, its commands parse."""

import importlib
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import BACKEND, COMPILED, write_digits

import numcnn
from numcnn import data
from numcnn.cli import COMMANDS, Parser

ROOT = Path(numcnn.__file__).parents[1]
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the installed package")


def text():
    return README.read_text(encoding="utf-8")


def readmes():
    """Return the READMEs and guides of the checkout, by path from its root."""
    found = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md")]
    found += [path for folder in ("numcnn", "tests", "weights") for path in (ROOT / folder).rglob("README.md")]
    return {path.relative_to(ROOT).as_posix(): path for path in found}


@pytest.mark.parametrize("name", readmes())
def test_every_file_that_a_readme_links_to_or_shows_exists(name):
    path = readmes()[name]
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    for link in links:
        assert "://" in link or (path.parent / link).exists(), f"{name}: {link}"


def test_it_is_short():
    assert len(text().splitlines()) <= 150


def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(import numcnn\n.*?)```", text(), re.DOTALL)
    shutil.copytree(ROOT / ".github" / "pictures", ".github/pictures")  # the code runs elsewhere, as it writes files
    drawn = data.load(write_digits(tmp_path / "drawn"))
    if not COMPILED:  # so few that the reference kernels read them
        drawn = replace(drawn, test_images=drawn.test_images[:100], test_labels=drawn.test_labels[:100])
    monkeypatch.setattr(data, "load", lambda name: drawn)  # in place of MNIST, which may not be here
    code = code.replace("gradcheck(network)", "gradcheck(network, samples=2)").replace("])", f"], backend={BACKEND!r})")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("[7]\n[[")
    assert numcnn.load("mine.npz").params.size == names["network"].params.size
    assert names["network"].evaluate(drawn.test_images, drawn.test_labels).accuracy > 0.2


def test_it_names_every_command_and_no_other():
    named = set(re.findall(r"`numcnn ([a-z]+)", text()))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("name", readmes())
def test_the_commands_beside_figures_parse(name):
    for line in re.findall(r"\| `numcnn ([^`]+)` \|$", readmes()[name].read_text(encoding="utf-8"), re.MULTILINE):
        command, *arguments = shlex.split(line)
        parser = Parser(prog=name)
        importlib.import_module(f"numcnn.commands.{command}").add_arguments(parser)
        parser.parse_args(arguments)


def test_it_names_every_folder():
    for path in (ROOT / "numcnn").iterdir():
        if (path / "__init__.py").exists():
            assert f"(numcnn/{path.name}/README.md)" in text(), path


def test_each_folder_has_a_readme_that_names_every_file():
    for folder in {path.parent for path in (ROOT / "numcnn").rglob("*.py")} - {ROOT / "numcnn"}:
        readme = (folder / "README.md").read_text(encoding="utf-8")
        for path in folder.glob("*.py"):
            if path.stem not in ("__init__", "__main__"):
                assert path.name in readme, f"{readme[:40]!r} lacks {path.name}"


def test_the_test_command_is_marked_for_ci():
    block = re.search(r"<!-- test command -->\n```bash\n(.*?)\n```", text(), re.DOTALL)
    assert block and "pytest" in block.group(1)
