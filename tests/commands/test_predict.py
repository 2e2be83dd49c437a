"""``numcnn predict`` on real files: what it prints, what it refuses, and that it loses no picture when it is killed."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import draw_digits
from PIL import Image
from processes import ROOT, held, running, shown_on_terminal, wait_for

import numcnn
from numcnn.cli import main
from numcnn.evaluation.calibration import certainty
from numcnn.recognition.answer_log import AnswerLog
from numcnn.recognition.bulk import Workers
from numcnn.recognition.file_reader import Item, Settings

KEYS = {"path", "text", "digits"}
ONE_DIGIT = KEYS | {"label", "probability", "sure", "probabilities"}
DIGIT = {"label", "probability", "probabilities", "sure", "box", "line"}


@pytest.fixture(scope="module")
def small_network(tmp_path_factory):
    """A file with weights that were never trained, which are quick to read: for tests of anything but the answers."""
    network = numcnn.Network([numcnn.Flatten(), numcnn.Dense(10)])
    path = tmp_path_factory.mktemp("weights") / "small.npz"
    network.save(path)
    return path


def save(path, digit, margin=20, scale=3, **options):
    """Save a digit, dark on light, ``margin`` pixels from the top left corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ink = np.kron(digit, np.ones((scale, scale), np.uint8))
    sheet = np.full((ink.shape[0] + 2 * margin, ink.shape[1] + 3 * margin), 240, np.uint8)
    sheet[margin : margin + ink.shape[0], margin : margin + ink.shape[1]] -= (ink / 255 * 230).astype(np.uint8)
    Image.fromarray(sheet).save(path, **options)
    return path


@pytest.fixture
def scans(tmp_path):
    """A folder with 60 pictures of digits, and two that can't be read."""
    folder = tmp_path / "scans"
    for i, digit in enumerate(draw_digits(60, 41)[0]):
        save(folder / f"part {i // 20}" / f"{i:03}.png", digit, margin=i % 7, scale=1 + i % 3)
    (folder / "part 1" / "torn.png").write_bytes((folder / "part 1" / "020.png").read_bytes()[:60])
    (folder / "part 2" / "text.png").write_text("no picture")
    return folder


def paths_in(folder):
    return [str(path) for path in sorted(folder.rglob("*.png"))]


def readable_in(folder):
    return [path for path in paths_in(folder) if not path.endswith(("torn.png", "text.png"))]


def process(*arguments, **options):
    command = [sys.executable, "-m", "numcnn", "predict", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, timeout=300, **options)


def predicted(capsys, *arguments, code=0):
    assert main(["predict", *map(str, arguments)]) == code
    return capsys.readouterr()


# what it prints


def test_one_digit_is_a_line_with_runners_up(tmp_path, capsys):
    images, labels = draw_digits(200, 12)
    for i in range(20):
        save(tmp_path / f"{labels[i]}-{i}.png", images[i])
    lines = [line for line in predicted(capsys, *sorted(tmp_path.iterdir())).out.splitlines() if line[0] != " "]
    found = [
        re.fullmatch(r".*/(\d)-\d+\.png +(\d) \(>?\d+\.\d%\)   then \d \(<?\d+\.\d%\), \d \(.*\)", line)
        for line in lines
    ]
    assert len(lines) == 20 and sum(bool(match and match[1] == match[2]) for match in found) >= 15


def test_json_is_one_list_with_every_digit_in_pixels_of_the_file(tmp_path, capsys):
    path = save(tmp_path / "a digit.png", draw_digits(200, 12)[0][0], margin=30)
    (found,) = json.loads(predicted(capsys, path, "--json").out)
    assert found.keys() == ONE_DIGIT and found["path"] == str(path)
    (digit,) = found["digits"]
    assert digit.keys() == DIGIT and digit["line"] == 0
    assert {key: found[key] for key in ONE_DIGIT - KEYS} == {key: digit[key] for key in ONE_DIGIT - KEYS}
    assert len(digit["probabilities"]) == 10 and sum(digit["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert digit["label"] == int(np.argmax(digit["probabilities"]))
    assert found["text"] == (str(digit["label"]) if digit["sure"] else "?")
    x, y, width, height = digit["box"]
    dark = np.argwhere(np.asarray(Image.open(path)) < 150)
    top, left = dark.min(axis=0)
    bottom, right = dark.max(axis=0) + 1
    assert abs(x - left) <= 4 and abs(y - top) <= 4 and abs(x + width - right) <= 4 and abs(y + height - bottom) <= 4


def test_boxes_are_in_pixels_of_a_large_file_too(tmp_path, capsys):
    small = np.asarray(Image.open(save(tmp_path / "small.png", draw_digits(200, 12)[0][0], scale=10, margin=60)))
    Image.fromarray(small).save(tmp_path / "a.png")
    Image.fromarray(np.kron(small, np.ones((8, 8), np.uint8))).save(tmp_path / "b.png", compress_level=1)
    a, b = json.loads(predicted(capsys, tmp_path / "a.png", tmp_path / "b.png", "--json").out)
    assert max(small.shape) * 8 > 2048
    np.testing.assert_allclose(b["digits"][0]["box"], np.array(a["digits"][0]["box"]) * 8, atol=24)
    assert a["text"] == b["text"]


def test_a_picture_without_digits_is_no_error(tmp_path, capsys):
    Image.new("L", (60, 50), 230).save(tmp_path / "empty.png")
    assert predicted(capsys, tmp_path / "empty.png").out == f"{tmp_path / 'empty.png'}  no digits\n"
    assert json.loads(predicted(capsys, tmp_path / "empty.png", "--json").out) == [
        {"path": str(tmp_path / "empty.png"), "text": "", "digits": []}
    ]
    assert predicted(capsys, tmp_path / "empty.png", "--csv").out.splitlines()[1] == f"{tmp_path / 'empty.png'},,,,0"
    assert "empty.png: " in predicted(capsys, tmp_path / "empty.png", "--single", code=2).err


def test_csv_has_a_row_for_each_picture(scans, capsys):
    out = predicted(capsys, scans, "--csv", code=2).out
    header, *rows = csv.reader(io.StringIO(out, newline=""))
    assert header == ["path", "text", "sure", "probability", "digits"]
    assert [row[0] for row in rows] == readable_in(scans)
    single = [row for row in rows if row[4] == "1"]
    assert len(single) > 50
    for _, text, sure, probability, _ in single:
        assert (text.isdecimal(), sure) in ((True, "true"), (False, "false")) and 0.1 <= float(probability) <= 1


def test_verbose_says_where_each_digit_is(tmp_path, capsys):
    path = save(tmp_path / "a.png", draw_digits(200, 12)[0][0])
    assert re.search(r"   line 1, \d+x\d+ at \d+,\d+$", predicted(capsys, path, "-v").out.rstrip())


def test_not_sure_is_said_in_every_form(tmp_path, capsys):
    network = numcnn.load(backend="reference")
    path = save(tmp_path / "a.png", draw_digits(200, 12)[0][0])
    (found,) = json.loads(predicted(capsys, path, "--json").out)
    certain = float(certainty(found["probabilities"], network.info["certainty_temperature"]))
    confidence = found["probability"]
    table = [[confidence + 1e-6, 20_000, 18_000, 0, 0.0002], [0.01, 20_000, 20_000, 600, 0.033]]
    network.info |= {"refuse_below": certain / 2, "risks": table}
    network.save(tmp_path / "careful.npz")
    command = [path, "--weights", tmp_path / "careful.npz"]
    for options, sure in (([], True), (["--at-most", "0.5%"], False), (["--at-most", "0.04"], True)):
        assert ("a.png  not sure (maybe a " in predicted(capsys, *command, *options).out) is not sure
        (one,) = json.loads(predicted(capsys, *command, *options, "--json").out)
        assert one["sure"] is sure and one["label"] == found["label"]
        assert one["text"] == (str(found["label"]) if sure else "?")
        assert (",?,false," in predicted(capsys, *command, *options, "--csv").out) is not sure
    found = predicted(capsys, *command, "--at-most", "0.001%", code=2)
    assert "--at-most is 0.001%, but with 20,000 digits no less than 0.020% can be shown" in found.err
    with pytest.raises(SystemExit):
        main(["predict", *map(str, command), "--at-most", "0.5"])
    assert "0.5 would be 50% wrong answers; write 0.5% if you mean that" in capsys.readouterr().err
    for wrong in ("0", "2", "much", "nan"):
        with pytest.raises(SystemExit):
            main(["predict", *map(str, command), "--at-most", wrong])
        assert f"'{wrong}' is no share of wrong answers; wants one such as 0.5% or 0.005" in capsys.readouterr().err


# what it takes


def test_folders_patterns_and_files_are_read_in_order(scans, capsys, small_network):
    options = ["--json", "--weights", small_network]

    def names(*arguments, code=0):
        return [found["path"] for found in json.loads(predicted(capsys, *arguments, *options, code=code).out)]

    assert names(scans, code=2) == readable_in(scans)
    assert names(scans / "part 0") == paths_in(scans / "part 0")
    assert names(scans / "part 0" / "00[3-5].png") == paths_in(scans / "part 0")[3:6]
    assert names(scans / "**" / "04?.png") == [path for path in paths_in(scans) if "/04" in path]
    assert names(scans / "part 0" / "002.png", scans / "part 0" / "000.png") == [
        str(scans / "part 0" / name) for name in ("002.png", "000.png")
    ]
    missing = predicted(capsys, scans / "none*.png", scans / "part 0" / "000.png", *options, code=2)
    assert missing.err == f"numcnn predict: {scans / 'none*.png'}: no file matches; check the pattern\n"
    assert len(json.loads(missing.out)) == 1


def test_a_failure_is_a_line_and_the_others_are_read(scans, capsys, small_network):
    found = predicted(capsys, scans, "--json", "--weights", small_network, code=2)
    first, second = found.err.splitlines()
    assert first.startswith(f"numcnn predict: {scans / 'part 1' / 'torn.png'}: damaged or incomplete picture")
    assert second.startswith(f"numcnn predict: {scans / 'part 2' / 'text.png'}: not a picture in a known format")


def test_a_picture_is_read_from_stdin(tmp_path, small_network):
    path = save(tmp_path / "a.png", draw_digits(200, 12)[0][0])
    done = process("-", path, "--json", "--weights", small_network, input=path.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    from_stdin, from_file = json.loads(done.stdout)
    assert from_stdin.pop("path") == "-" and from_file.pop("path") == str(path) and from_stdin == from_file
    done = process("-", "--weights", small_network, input=b"")
    assert (done.returncode, done.stderr) == (2, b"numcnn predict: -: the file is empty; save the picture again\n")


def test_pages_of_a_tiff_are_numbered(tmp_path, capsys):
    digits = draw_digits(200, 12)[0]
    images = [Image.open(save(tmp_path / f"{i}.png", digits[i], scale=2 + i)) for i in range(3)]
    images[0].save(tmp_path / "scan.tif", save_all=True, append_images=images[1:])
    options = ["--json"]
    pages = json.loads(predicted(capsys, tmp_path / "scan.tif", *options).out)
    assert [page["path"] for page in pages] == [f"{tmp_path / 'scan.tif'}#{number}" for number in (1, 2, 3)]
    alone = json.loads(predicted(capsys, *(tmp_path / f"{i}.png" for i in range(3)), *options).out)
    assert [page["digits"] for page in pages] == [page["digits"] for page in alone] and pages[0]["digits"]


@pytest.mark.compiled
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="its file systems refuse such names")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_odd_names_are_read_and_printed(tmp_path, workers, small_network):
    digit = draw_digits(200, 12)[0][0]
    odd = [
        b"-7.png",
        b"a b.png",
        b"line\nfeed.png",
        b"\xff\xfe.png",
        "ünï.png".encode(),
        b"[1].png",
        b'"q",.png',
        b"a#1.png",
    ]
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    save(tmp_path / "plain.png", digit)
    for name in odd:
        with open(os.path.join(folder, name), "wb") as file:
            file.write((tmp_path / "plain.png").read_bytes())
    options = ["--workers", workers, "--weights", small_network]
    done = process("--json", tmp_path / "odd", *options)
    assert (done.returncode, done.stderr) == (0, b"")
    want = sorted(os.fsdecode(os.path.join(folder, name)) for name in odd)
    assert [found["path"] for found in json.loads(done.stdout)] == want
    done = process(tmp_path / "odd", *options)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(b" ")]  # not the second line of a text
    assert done.returncode == 0 and len(lines) == len(odd)
    assert b"line\\nfeed.png" in done.stdout and b"\xff\xfe.png" in done.stdout
    for suffix in ("csv", "jsonl"):
        out = tmp_path / f"out.{suffix}"
        for _ in range(2):
            assert process(tmp_path / "odd", "--out", out, *options).returncode == 0
            assert answered(out) == want


def test_wrong_usage_is_a_line(tmp_path, capsys):
    path = save(tmp_path / "a.png", draw_digits(200, 12)[0][0])
    for options, text in (
        (["--workers", "0"], "--workers is 0; wants 1 or more"),
        (
            ["--workers", "2", "--cluster", "tcp://x:1"],
            "--workers is for this machine, and --cluster for a Dask scheduler",
        ),
        (["-", "--cluster", "tcp://x:1"], "--cluster reads files by their paths, and - is none"),
        (["--cluster", "tcp://x:1", "--annotate", "seen"], "--annotate saves on this machine, and --cluster reads on"),
        (["--cluster", "tcp://x:1", "--explain", "steps"], "--explain saves on this machine, and --cluster reads on"),
        (["--cluster", "host"], "--cluster is 'host'; wants the address of a Dask scheduler"),
        (["--out", "a.txt"], "--out is a.txt; wants a file that ends in .jsonl or .csv"),
        (["--annotate", path], "is a file; name a folder"),
        (["--at-most", "0.0000001"], "--at-most"),
    ):
        found = predicted(capsys, path, *options, code=2)
        assert found.out == "" and text in found.err and len(found.err.splitlines()) == 1
    for options in (["--json", "--csv"], ["--json", "--out", "a.csv"], ["-v", "--csv"]):
        with pytest.raises(SystemExit):
            main(["predict", str(path), *options])


# copies and steps


def test_annotated_copies_and_steps_get_the_places_of_their_pictures(scans, tmp_path, capsys, small_network):
    digits = draw_digits(200, 12)[0]
    images = [Image.open(save(tmp_path / f"{i}.png", digits[i])) for i in range(2)]
    images[0].save(scans / "part 0" / "scan.tif", save_all=True, append_images=images[1:])
    seen, steps = tmp_path / "seen", tmp_path / "steps"
    options = ["--weights", small_network, "--annotate", seen, "--explain", steps]
    predicted(capsys, scans / "part 0", tmp_path / "0.png", *options)
    copies = sorted(path.relative_to(seen).as_posix() for path in seen.rglob("*.png"))
    assert copies == sorted([*(f"{i:03}.png" for i in range(20)), "scan#1.png", "scan#2.png", "0.png"])
    with Image.open(seen / "0.png") as copy:
        assert copy.mode == "RGB" and max(copy.size) >= 140
    assert (steps / "scan#2" / "sheet.png").stat().st_size > 500
    assert (steps / "0" / "01-original.png").exists()


def test_every_step_is_explained_to_what_spoke_for_the_answer(tmp_path, capsys):
    path = save(tmp_path / "a.png", draw_digits(200, 12)[0][0])
    predicted(capsys, path, "--explain", tmp_path / "steps")
    names = [step.stem.partition("-")[2] for step in sorted((tmp_path / "steps" / "a").glob("[0-9]*.png"))]
    assert names[0] == "original" and names[-1] == "what-spoke-for-each-answer"
    assert {"ink", "boxes", "each-28x28", "maps-of-conv1", "maps-of-pool2"} <= set(names)
    with Image.open(next((tmp_path / "steps" / "a").glob("*what-spoke*.png"))) as image:
        spoke = np.asarray(image)[1:29, 1:29]
    assert {int(spoke.min()), int(spoke.max())} & {0, 255} and (spoke == 128).any()


def test_a_copy_that_cannot_be_written_is_a_failure(tmp_path, capsys, small_network):
    path = save(tmp_path / "a.png", draw_digits(200, 12)[0][0])
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "a.png").mkdir()
    found = predicted(capsys, path, "--annotate", tmp_path / "seen", "--weights", small_network, code=2)
    assert "cannot write" in found.err and "a.png" in found.err and found.out == ""


# many


def answered(path):
    """Return the pictures that a file of answers has, line by line."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if path.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in text.splitlines()]
    return [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:]


@pytest.mark.compiled
def test_several_processes_answer_in_order_and_alike(scans, small_network):
    alone = process(scans, "--json", "--weights", small_network)
    assert alone.returncode == 2
    for workers in ("1", "3"):
        done = process(scans, "--json", "--workers", workers, "--weights", small_network)
        assert (done.stdout, done.stderr, done.returncode) == (alone.stdout, alone.stderr, 2)


@pytest.mark.compiled
@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_at_any_moment_it_answers_each_picture_once(scans, tmp_path, suffix, workers, small_network):
    out = tmp_path / f"out.{suffix}"
    command = ["predict", scans, "--out", out, "--workers", workers, "--weights", small_network]
    for calls in (2, 17, 30):  # answers that are written before it is killed
        with held(AnswerLog, "add", calls, *command) as run:
            run.send_signal(signal.SIGKILL)
            run.stdin.close()
            assert run.wait() == -signal.SIGKILL
            run.stderr.read()  # ends when the last of its workers has
        done = answered(out)
        assert done == readable_in(scans)[: len(done)] and len(done) >= calls - 1
        with open(out, "ab") as file:  # as if it had been killed in the middle of a line
            file.write(b'{"path": "sca' if suffix == "jsonl" else f'"{scans}/part 0/001.png'.encode())
    last = process(*command[1:])
    assert last.returncode == 2 and answered(out) == readable_in(scans)
    *failures, summary = last.stderr.decode().splitlines()
    assert len(failures) == 2
    assert re.fullmatch(r"\d+ read in \d+\.\d s, \d+ answered before, 2 failed(, \d+ without digits)?", summary)
    whole = out.read_bytes()
    again = process(*command[1:])
    assert again.returncode == 2 and out.read_bytes() == whole
    assert again.stderr.decode().splitlines()[-1].startswith("0 read in ")


def test_continued_with_other_weights_or_settings_it_is_refused(scans, tmp_path, capsys, small_network):
    out = tmp_path / "out.csv"
    command = [scans / "part 0", "--out", out, "--weights", small_network]
    predicted(capsys, *command)
    whole = out.read_bytes()
    other = numcnn.Network([numcnn.Flatten(), numcnn.Dense(10)], seed=5)
    (tmp_path / "other").mkdir()
    other.save(tmp_path / "other" / small_network.name)  # the name is the same, the content is not
    for options, text in (
        (["--single"], r"\(--single: no, now yes\)"),
        (["--weights", tmp_path / "other" / small_network.name], r"\(weights: small\.npz, .*, now small\.npz, [^;]*\)"),
    ):
        found = predicted(capsys, *command, *options, code=2)
        assert re.search(f"--out is .*out.csv, which was begun with other settings {text}", found.err)
        assert len(found.err.splitlines()) == 1 and out.read_bytes() == whole
    assert predicted(capsys, *command, "--backend", "reference", "--workers", "1").err.startswith("0 read in ")
    assert out.read_bytes() == whole


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_interrupted_it_leaves_no_worker_and_a_file_to_continue(scans, tmp_path, small_network):
    out = tmp_path / "out.jsonl"
    command = ["predict", scans, "--out", out, "--workers", "2", "--weights", small_network]
    with held(AnswerLog, "add", 5, *command) as run:
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate()
    assert run.returncode == 130 and errors.splitlines()[-1] == "numcnn predict: interrupted"
    assert answered(out) == readable_in(scans)[:5]


def test_workers_that_are_killed_cost_no_picture(scans, small_network):
    """``python tests/many.py bulk FOLDER`` does it with 20,000 pictures and the command."""
    items = [Item(path) for path in readable_in(scans)]
    with Workers(Settings(weights=str(small_network)), 2) as workers:
        outcomes = workers.read(items)
        found = [next(outcomes)]
        for worker in list(workers._all):
            worker._process.kill()
        more = [Item(path) for path in readable_in(scans)]
        found += outcomes
        found += workers.read(more)  # by new ones
    assert [outcome.path for outcome in found] == [item.path for item in (*items, *more)]
    assert all(len(outcome.lines) == 1 and not outcome.failures for outcome in found)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_a_picture_that_ends_its_worker_is_a_failure_and_the_others_are_read(
    scans, tmp_path, monkeypatch, small_network
):
    """As when a decoder crashes: here one that kills its own process over a certain file."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, builtins\n"
        "kept = builtins.open\n"
        "def open(file, *arguments, **options):\n"
        "    if str(file).endswith('013.png'):\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return kept(file, *arguments, **options)\n"
        "builtins.open = open\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Workers(Settings(weights=str(small_network)), 2) as workers:
        outcomes = list(workers.read([Item(path) for path in paths_in(scans / "part 0")]))
    failed = [outcome for outcome in outcomes if outcome.failures]
    assert len(outcomes) == 20 and [outcome.path for outcome in failed] == [str(scans / "part 0" / "013.png")]
    assert "013.png: the process that read it ended (by SIGSEGV); save the picture again" in failed[0].failures[0]


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system can't tell what is in a pipe")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("reader_leaves", [False, True])
def test_a_full_pipe_holds_it_up_and_loses_nothing(scans, workers, reader_leaves):
    import array
    import fcntl
    import termios

    digits = draw_digits(200, 12)[0]
    for i in range(200):  # 100 kB of answers; a pipe holds 64
        save(scans / "part 9" / f"{i}.png", digits[i], scale=1)
    command = ["-m", "numcnn", "predict", scans / "part 9", "--json", "--workers", workers]
    with running(*command) as run:

        def waiting():
            count = array.array("i", [0])
            fcntl.ioctl(run.stdout.fileno(), termios.FIONREAD, count)
            return count[0]

        wait_for(lambda: waiting() >= 1 << 15, "a pipe that is full")
        if reader_leaves:
            run.stdout.close()
            errors = run.stderr.read()
            assert run.wait() == 1 and "Traceback" not in errors
        else:
            out, errors = run.communicate()
            assert run.returncode == 0 and len(json.loads(out)) == 200
            assert re.fullmatch(r"200 read in \d+\.\d s, 0 failed(, \d+ without digits)?\n", errors)


def test_a_summary_and_no_bar_where_there_is_no_terminal(scans, tmp_path, small_network):
    done = process(scans, "--out", tmp_path / "a.csv", "--weights", small_network)
    assert re.fullmatch(r"60 read in \d+\.\d s, 2 failed(, \d+ without digits)?", done.stderr.decode().splitlines()[-1])
    assert b"\r" not in done.stderr and done.stdout == b""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_summary_says_how_many_pictures_have_no_digits(tmp_path, workers):
    for name, image in (("a.png", draw_digits(200, 12)[0][0]), ("b.png", np.zeros((28, 28), np.uint8))):
        (tmp_path / "scans").mkdir(exist_ok=True)
        save(tmp_path / "scans" / name, image)
    options = ["--weights", "canonical", "--workers", workers]
    done = process(tmp_path / "scans", "--out", tmp_path / "a.csv", *options)
    assert re.fullmatch(r"2 read in \d+\.\d s, 0 failed, 1 without digits\n", done.stderr.decode())


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_a_terminal_shows_the_progress(scans, tmp_path, small_network):
    arguments = [scans, "--out", tmp_path / "a.csv", "--weights", small_network]
    code, shown = shown_on_terminal("predict", *arguments, columns=100)
    assert code == 2
    assert b"| 62/62 [" in shown and b"torn.png: damaged" in shown


def test_reading_one_picture_loads_nothing_heavy(tmp_path):
    picture = save(tmp_path / "digit.png", draw_digits(200, 12)[0][0])
    code = """if True:
        import sys
        from numcnn.cli import main
        code = main(sys.argv[1:])
        print(code, sorted({"numba", "matplotlib", "pygame", "tqdm", "requests"} & set(sys.modules)))
    """
    with running("-c", code, "predict", picture) as run:
        out, errors = run.communicate()
    assert out.splitlines()[-1] == "0 []", errors
