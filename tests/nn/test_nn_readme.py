"""The README of nn/ tells the truth: its files exist, its layers are the tested ones, its Python runs."""

import re
from pathlib import Path

import own_layers
import pytest
from conftest import BACKEND, COMPILED

import numcnn
from numcnn.cli import main

FOLDER = Path(numcnn.__file__).parent / "nn"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_it_names_every_file_and_links_to_files_that_exist():
    for path in FOLDER.glob("*.py"):
        assert path.stem == "__init__" or f"`{path.name}`" in TEXT, path
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert not (FOLDER.parents[1] / ".github").exists() or (FOLDER / link).is_file(), link


def test_its_layers_are_the_ones_that_are_tested():
    assert CODE[0] == Path(own_layers.__file__).read_text(encoding="utf-8")


def test_its_layers_are_checked_trained_saved_and_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = CODE[1].replace("Dense(10)])", f"Dense(10)], backend={BACKEND!r})")
    if not COMPILED:
        code = code.replace("limit=2000", "limit=32, backend='reference'")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["again"].params.tobytes() == names["network"].params.tobytes()
    assert names["again"].state.any()


def test_its_loop_of_a_convolution_s_backward_is_that_of_the_reference():
    kernels = (FOLDER.parent / "kernels" / "reference.py").read_text(encoding="utf-8")
    for line in CODE[2].splitlines():
        statement = re.sub(r"\s+", "", line.partition("#")[0])
        assert statement in re.sub(r"\s+", "", kernels), line


def test_its_table_of_gradients_is_the_one_that_gradcheck_prints(capsys):
    (shown,) = re.findall(r"```\n(Network: backward against.*?)\n```", TEXT, re.DOTALL)
    assert main(["gradcheck"]) == 0
    # Errors, and so which is the worst, depend on the machine's BLAS; what was checked doesn't.
    row = re.compile(r"^(\S+ +\S+ +\d+(?: \(-\d+\))?) +\d", re.MULTILINE)
    checked = [row.findall(some) for some in (shown, capsys.readouterr().out)]
    assert checked[0] == checked[1] and len(checked[0]) == 10


@pytest.mark.skipif(not (FOLDER.parents[1] / ".github").exists(), reason="its picture is not beside the package")
def test_its_trace_shows_what_the_text_says(monkeypatch, capsys):
    monkeypatch.chdir(FOLDER.parents[1])
    names = {}
    exec(compile(CODE[3], "README.md", "exec"), names)
    zeros = (names["trace"]["pool1"]["dx"] == 0).mean()
    assert f"is {zeros:.0%} zeros" in TEXT and names["trace"]["conv2"]["dw"].shape == (3, 3, 32, 64)
    printed = capsys.readouterr().out
    assert "conv2.dw[1,2,3,4] = " in printed and "pool1.dx[10,11,3] = 0\n" in printed and "is larger" in printed
    assert names["figure"].get_suptitle().startswith("pool1: MaxPool2D")
