"""Wrong arguments and odd surroundings: one line that names what is wrong and where to read on, and exit code 2."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import running

import numcnn
from numcnn.cli import COMMANDS, main
from numcnn.commands import shown

pytestmark = pytest.mark.once
ROOT = Path(numcnn.__file__).parents[1]
SEVEN = str(ROOT / ".github" / "pictures" / "seven.png")


def refused(capsys, *arguments):
    """Run a command that must refuse its arguments; return its one line."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2 and captured.out == "", captured
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--lr", "x"], "numcnn train: --lr: invalid float value: 'x'; see numcnn train --help"),
        (["train", "--nothing"], "numcnn train: unrecognized arguments: --nothing; see numcnn train --help"),
        (["predict"], "numcnn predict: the following arguments are required: PATH; see numcnn predict --help"),
        (["draw", "--theme", "pink"], "numcnn draw: --theme: invalid choice: 'pink' (choose from"),
        (["predict", "--json", "--csv", "x"], "numcnn predict: --csv: not allowed with argument --json; see numcnn"),
        (["predict", "--at-most", "7", "x"], "numcnn predict: --at-most: '7' is no share of wrong answers"),
        (["train", "--out"], "numcnn train: --out: expected one argument; see numcnn train --help"),
        (["train", "--lr", "a\nb"], r"numcnn train: --lr: invalid float value: 'a\nb'; see numcnn train --help"),
        (["train", "--nothing", "x"], "numcnn train: unrecognized arguments: --nothing x; see numcnn train --help"),
        (["train", "--epcohs", "3"], "numcnn train: unrecognized arguments: --epcohs 3; did you mean --epochs?; see"),
        (
            ["predict", "--explian=x", "y"],
            "numcnn predict: unrecognized arguments: --explian=x; did you mean --explain?",
        ),
        (["trian"], "numcnn: there is no command 'trian'; did you mean train?; see numcnn --help"),
        (["xyz"], "numcnn: there is no command 'xyz'; see numcnn --help"),
        (["--nothing"], "numcnn: unrecognized arguments: --nothing; see numcnn --help"),
        (["learn", "--digits", "0"], "numcnn learn: only simulated users take --digits; add --simulate, or leave"),
        (["bench", "--seeds", "3"], "numcnn bench: --seeds is for time-to-99 only; add --parts time-to-99, or leave"),
    ],
)
def test_one_line_that_names_what_is_wrong(arguments, line, capsys):
    assert refused(capsys, *arguments).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["train", "a\nb"], ": a b; options have names, such as --dataset NAME"),
        (["train", "."], ": .; options have names, such as --data-dir DIR, --out DIR, --resume DIR"),
        (["learn", "/"], ": /; options have names, such as --pictures FOLDER, --data-dir DIR"),
        (["eject", SEVEN], f": {SEVEN}; options have names, such as --weights FILE, --out FILE"),
        (["gradcheck", "x"], ": x; options have names, such as --weights FILE"),
        (["doctor", "x"], ": x"),
        (["inspect", "a", "b"], ": b; it takes one PICTURE"),
        (["sweep", "--grid", "lr=1,", "2,", "3"], ": 3; it takes one PLAN.toml"),
        (["eject", SEVEN, "b"], f": {SEVEN} b; options have names, such as --weights FILE, --out FILE"),
        (["train", "x", "--nothing"], ": x --nothing"),
        (["predict", "a", "--single", "b"], ": b; name each PATH next to the others, with no option between"),
    ],
)
def test_a_name_that_has_no_place_is_told_where_it_may_belong(arguments, advice, capsys):
    name = f"numcnn {arguments[0]}"
    assert refused(capsys, *arguments) == f"{name}: unrecognized arguments{advice}; see {name} --help"


@pytest.mark.parametrize("option", ["--threads", "--lr", "--out", "--seed"])
def test_two_dashes_are_no_value(option, capsys):
    line = refused(capsys, "train", f"{option}=--")
    assert line == f"numcnn train: {option}: wants a value, not --; see numcnn train --help"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--dataset", "~nobody-here/x"],
        ["evaluate", "--data-dir", "~nobody-here/x"],
        ["train", "--out", "~nobody-here/x"],
    ],
)
def test_nobodys_folder(arguments, capsys):
    line = refused(capsys, *arguments)
    assert line == f"numcnn {arguments[0]}: {arguments[1]} is ~nobody-here/x, but ~nobody-here is nobody's folder here"


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [("NUMCNN_HOME", ["learn"]), ("NUMCNN_DATA", ["train"]), ("NUMCNN_PENDIGITS", ["learn", "--simulate"])],
)
def test_nobodys_folder_in_a_variable(variable, arguments, capsys, monkeypatch):
    monkeypatch.setenv(variable, "~nobody-here")
    assert f"{variable} is ~nobody-here, but ~nobody-here is nobody's folder" in refused(capsys, *arguments)


LONG = "x" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", LONG],
        ["predict", "--weights", LONG, SEVEN],
        ["predict", "--annotate", LONG, SEVEN],
        ["evaluate", "--dataset", LONG],
        ["draw", "--strokes", LONG, "--screenshot", "s.png"],
        ["learn", "--own", LONG],
        ["learn", "--pictures", LONG],
        ["gradcheck", "--out", f"{LONG}.png"],
    ],
)
def test_a_path_that_is_too_long(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, *arguments)
    assert len(line) < 500
    assert os.strerror(errno.ENAMETOOLONG) in line or "there is no such folder" in line


def test_long_words_are_shown_by_their_ends():
    assert shown(f"cannot read {LONG}: no") == f"cannot read {'x' * 80}...{'x' * 79}: no"
    assert shown("two\nlines, and  spaces") == "two lines, and  spaces"


def process(arguments, redirect="", **environment):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = ["bash", "-c", f'exec "$@" {redirect}', "-", sys.executable, "-m", "numcnn", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="wants a shell")
def test_closed_streams(tmp_path):
    done = process(["predict", SEVEN], ">&-")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "numcnn: standard output is closed, so results are not shown\n"
    done = process(["predict", "--json", SEVEN], "2>&-")
    assert done.returncode == 0 and json.loads(done.stdout)[0]["label"] == 7
    # With all three closed, a file would get the number of one of them; what is printed must not go there.
    done = process(["predict", SEVEN, "--out", str(tmp_path / "out.csv")], "<&- >&- 2>&-")
    assert done.returncode == 0
    header, row = (tmp_path / "out.csv").read_text().splitlines()
    assert header.startswith("path,") and ",7," in row
    done = process(["predict", "-"], "<&-")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout(unbuffered):
    done = process(["predict", SEVEN], ">/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1 and done.stderr == "numcnn predict: the system refused: No space left on device\n"


WRITES = """
import sys
from numcnn.commands import terminated_cleanly
with terminated_cleanly("bench"):
    sys.stderr.write("." * 1_000_000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_in_the_middle_of_a_line_ends_in_no_traceback(unbuffered):
    with running("-c", WRITES, PYTHONUNBUFFERED=unbuffered) as stopped:
        assert stopped.stderr.read(1) == "."  # now it waits for more to be read
        stopped.send_signal(signal.SIGTERM)
        said = stopped.stderr.read()
    assert stopped.wait() == 143 and "Traceback" not in said and said.count("numcnn bench: terminated\n") == 1


def test_a_name_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "gr\u00fcn.json").write_text("[[[0, 0], [50, 80]]]", encoding="utf-8")
    (tmp_path / "leer.png").write_text("")
    for folder in ("caf\u00e9", "\u6570"):
        out = tmp_path / f"{folder}.png"
        done = process(["gradcheck", "--samples", "1", "--out", str(out)], PYTHONIOENCODING="ascii")
        assert done.returncode == 0 and "Traceback" not in done.stderr and out.exists()


def test_numbas_own_refusal_is_one_line():
    done = process(["gradcheck", "--backend", "fast", "--samples", "1"], NUMBA_NUM_THREADS="0", NUMBA_DISABLE_JIT="0")
    assert done.returncode == 2 and "Numba refuses one of the NUMBA_ environment variables" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="wants a shell")
def test_an_endless_picture_on_standard_input(capfdbinary, monkeypatch):
    from numcnn.commands import predict

    monkeypatch.setattr(predict, "MAX_STDIN_BYTES", 1000)
    with open("/dev/zero", "rb") as zeros:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": zeros}))
        assert main(["predict", "-"]) == 2
    assert b"standard input has more than 1,000 bytes" in capfdbinary.readouterr().err


def test_every_command_names_its_help(capsys):
    for name in COMMANDS:
        assert refused(capsys, name, "--nothing-of-this-name").endswith(f"; see numcnn {name} --help")
