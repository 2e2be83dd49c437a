"""The benchmark times what agrees, names who is missing or fails, and leaves no process behind."""

import dataclasses
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits
from PIL import Image
from processes import ROOT, read_until, running

import numcnn
from numcnn import data
from numcnn.benchmark import BenchmarkError, machine, measure, report, whole_runs
from numcnn.benchmark.contestants import CONTESTANTS, NUMCNN, ONE_THREAD, PEERS, SGEMM, Contestant
from numcnn.benchmark.measure import MismatchError, Settings
from numcnn.benchmark.peers.weight_layout import channels_first, channels_last
from numcnn.benchmark.processes import WorkerFailed, Workers
from numcnn.benchmark.workload import Workload, step_flops
from numcnn.cli import main
from numcnn.data import idx, mnist

pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[1]
SHORT = Settings(threads=1, rounds=2, seconds=0.01, peers=(), backend=BACKEND, quick=True)
NUMCNN_TRAINING = next(c for c in CONTESTANTS if c.name == NUMCNN and c.part == "training")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of generated digits in MNIST's form: 1,024 to train on, 100 to test with."""
    folder = tmp_path_factory.mktemp("benchmark") / "digits"
    folder.mkdir()
    images, labels = draw_digits(600, 11)
    for part, rows in (("train", np.arange(1024) % 600), ("test", np.arange(100))):
        idx.write_images(folder / mnist.FILES[f"{part}_images"].name, images[rows])
        idx.write_labels(folder / mnist.FILES[f"{part}_labels"].name, labels[rows])
    return folder


@pytest.fixture(scope="module")
def workload(digits):
    return measure.make_workload(data.load(digits))


@pytest.fixture
def odd(monkeypatch):
    """Return a function that makes a contestant of a class of ``odd_contestants``."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return lambda kind: Contestant(kind.lower(), kind, "training", f"odd_contestants:{kind}")


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch):
    """Let the machine's peak be found with matrices that cost no time."""
    monkeypatch.setattr(measure, "SGEMM", dataclasses.replace(SGEMM, options={"size": 128}))


def silent(line):
    pass


# The work, and who does it


def test_a_step_takes_15_million_operations():
    assert step_flops() == 15_396_864  # 3 x (389,376 + 4,460,544 + 409,600 + 2,560) - 389,376


def test_a_workload_survives_its_file(workload, tmp_path):
    workload.save(tmp_path / "workload.npz")
    again = Workload.load(tmp_path / "workload.npz")
    np.testing.assert_array_equal(again.images, workload.images)
    np.testing.assert_array_equal(again.labels, workload.labels)
    assert again.normalisation == workload.normalisation
    assert again.params.keys() == workload.params.keys() and len(workload.params) == 8
    for name, values in workload.params.items():
        np.testing.assert_array_equal(again.params[name], values)


def test_the_others_pixels_are_those_that_numcnn_gathers(workload):
    network = workload.network("reference")
    x = network.pixel_reader.read(workload.images, np.arange(50), np.empty((50, 28, 28, 1), np.float32))
    np.testing.assert_allclose(workload.pixels()[:50], x[..., 0], atol=1e-6)
    batches, labels = workload.training_batches()
    assert len(batches) == len(labels) == 8 and batches[0].shape == (128, 28, 28) and batches[0].dtype == np.float32


def test_weights_go_to_channels_first_and_back(workload):
    there = channels_first(workload.params)
    assert there["conv2.w"].shape == (64, 32, 3, 3) and there["dense1.w"].shape == (128, 1600)
    assert there["conv2.w"][7, 5, 1, 2] == workload.params["conv2.w"][1, 2, 5, 7]
    # Pixel (3, 4) of channel 20 is flattened to 20 * 25 + 3 * 5 + 4 channels first, to (3 * 5 + 4) * 64 + 20 here.
    assert there["dense1.w"][9, 20 * 25 + 3 * 5 + 4] == workload.params["dense1.w"][(3 * 5 + 4) * 64 + 20, 9]
    back = channels_last(there)
    for name, values in workload.params.items():
        np.testing.assert_array_equal(back[name], values)


def test_every_contestant_of_the_table_is_a_class_that_its_file_defines():
    for contestant in CONTESTANTS:
        module, _, name = contestant.where.partition(":")
        source = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
        assert f"class {name}(" in source
        assert bool(contestant.peer) == bool(contestant.packages)
    assert PEERS == ("pytorch", "keras", "jax", "onnxruntime", "openvino", "tesseract", "rapidocr")


# The rounds


def test_a_worker_answers_whatever_its_contestant_prints_and_whatever_lies_around(workload, odd, tmp_path, monkeypatch):
    workload.save(tmp_path / "workload.npz")
    (tmp_path / "numcnn.py").write_text("raise ImportError('the wrong numcnn')")
    monkeypatch.chdir(tmp_path)
    with Workers([odd("Talkative")], tmp_path, 1) as workers:
        (versions,) = workers.load(backend=BACKEND).values()
        assert versions["numcnn"] == numcnn.__version__ and versions["numpy"] == np.__version__
        assert workers.call("talkative", "agree") == "talkative.npz"
        assert workers.call("talkative", "settle", seconds=0.01) == {"step": BACKEND}
        bursts = [workers.call("talkative", "burst") for _ in range(2)]
        assert all(burst["step_seconds"] > 0 for burst in bursts) and bursts[0]["loss"] != bursts[1]["loss"]
        process = workers._alive["talkative"]._process
        assert workers.call("talkative", "dance") is None
        assert workers.failed == {"talkative": "AttributeError: 'Worker' object has no attribute 'dance'"}
        assert process.returncode is not None and workers.names == []


def test_a_wrong_gradient_is_not_timed(workload, odd, tmp_path):
    wanted = r"crooked and numcnn don't agree: \w[\w.]* differs by 0\.\d+ of its largest value, the limit is 0.0001"
    with pytest.raises(MismatchError, match=wanted):
        measure.run_contest([NUMCNN_TRAINING, odd("Crooked")], workload, SHORT, tmp_path, silent)


def test_differences_are_relative_to_the_largest_value():
    reference = np.array([2.0, -8.0, 0.0])
    assert measure.relative_difference(reference, reference) == 0
    assert measure.relative_difference(np.array([2.0, -8.0, 0.4]), reference) == pytest.approx(0.05)
    assert np.isnan(measure.relative_difference(np.array([2.0, np.nan, 0.0]), reference))
    assert measure.relative_difference(reference[:2], reference) == np.inf
    for wrong in (np.array([2.0, np.nan, 0.0]), np.array([2.0, -8.001, 0.0]), reference[:2]):
        with pytest.raises(MismatchError, match="someone and numcnn don't agree: dw differs by"):
            measure._largest_difference("someone", {"dw": wrong}, {"dw": reference})
    assert (
        measure._largest_difference(
            "someone", {"logits, a": reference + 4e-4, "logits, b": reference}, {"logits": reference}
        )
        < 1e-4
    )


def test_who_fails_is_out_and_the_others_go_on(workload, odd, tmp_path):
    contestants = [NUMCNN_TRAINING, odd("Raising"), odd("Dying")]
    contest = measure.run_contest(contestants, workload, SHORT, tmp_path, silent)
    assert contest.failed == {
        "raising": "ArithmeticError: the second round is too much",
        "dying": "its process ended with code 7: killed by its own hand",
    }
    assert contest.bursts.keys() == {NUMCNN, SGEMM.name}
    # Every round counts, unless other processes on this machine disturbed it.
    assert len(contest.bursts[NUMCNN]) + contest.left_out >= 2 and len(contest.bursts[NUMCNN]) >= 1
    assert all(0 <= difference < 1e-5 for difference in contest.agreement.values())
    assert contest.agreement.keys() == {"numcnn's reference kernels", "raising", "dying"}


def test_the_failure_of_numcnn_itself_ends_the_contest(workload, odd, tmp_path):
    dying = Contestant(NUMCNN, "numcnn", "training", odd("Dying").where)
    with pytest.raises(BenchmarkError, match="the worker of numcnn failed: its process ended with code 7"):
        measure.run_contest([dying], workload, SHORT, tmp_path, silent)


def test_figures_are_medians_and_ratios_are_taken_round_by_round(monkeypatch):
    steps = {NUMCNN: [0.01, 0.02, 0.04], ONE_THREAD: [0.02, 0.04, 0.06], "pytorch-contiguous": [0.03, 0.06, 0.12]}
    bursts = {name: [{"step_seconds": s, "loss": 1.0} for s in seconds] for name, seconds in steps.items()}
    bursts[SGEMM.name] = [{"gflops": g, "gflops_one_thread": g / 2} for g in (154.0, 154.0, 77.0)]
    monkeypatch.setattr(measure, "run_contest", lambda *_: measure.Contest(bursts=bursts))
    _, figures = measure.training(None, SHORT, None, silent)
    own, peer = figures[NUMCNN], figures["pytorch-contiguous"]
    assert own["images_per_second"] == 6400 and own["images_per_second_quartiles"] == [4800, 9600]
    assert own["scaling"] == 2 and own["one_thread_images_per_second"] == 3200
    assert own["sgemm_gflops"] == 154 and own["roofline_images_per_second"] == pytest.approx(154e9 / 15_396_864, 1e-4)
    assert peer["ratio"] == 3 and peer["ratio_quartiles"] == [3, 3]
    roofline = np.array([12_800, 6400, 3200]) / (np.array([154e9, 154e9, 77e9]) / 15_396_864)
    assert own["roofline_ratio"] == pytest.approx(np.median(roofline), 1e-4)


def test_disturbed_rounds_are_left_out_and_others_take_their_place(monkeypatch):
    disturbance = iter([0.0, 0.5, 0.0, 0.3, 0.05])
    numbers = itertools.count()
    monkeypatch.setattr(measure, "_one_round", lambda *_: ({NUMCNN: next(numbers)}, next(disturbance)))
    workers = SimpleNamespace(names=[NUMCNN], failed={})
    contest = measure.Contest()
    measure._run_rounds(workers, contest, dataclasses.replace(SHORT, rounds=3, quick=False), "training", {})
    assert contest.bursts == {NUMCNN: [0, 2, 4]} and (contest.disturbed, contest.left_out) == (0, 2)
    disturbance, numbers, contest = itertools.repeat(0.5), itertools.count(), measure.Contest()
    measure._run_rounds(workers, contest, dataclasses.replace(SHORT, rounds=3, quick=False), "training", {})
    assert contest.bursts == {NUMCNN: [0, 1, 2, 3, 4, 5]}  # never quiet: then all count
    assert (contest.disturbed, contest.left_out) == (6, 0)


def test_other_work_is_what_the_processors_did_less_our_own(monkeypatch):
    clocks = {"busy": 100.0, "own": 10.0, "now": 1000.0}
    monkeypatch.setattr(machine, "_busy_seconds", lambda: clocks["busy"])
    monkeypatch.setattr(machine, "_own_seconds", lambda: clocks["own"])
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clocks["now"])
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    others = machine.OtherWork()
    clocks.update(busy=107.0, own=11.0, now=1005.0)  # 7 s of work in 5 s on two processors, 1 s of it our own
    assert others.share() == 0.6
    assert others.share(workers_seconds=5.0) == 0.1
    assert others.share(workers_seconds=9.0) == 0.0  # clocks tick coarsely
    clocks["busy"] = None
    assert others.share() is None  # a system that doesn't tell


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells")
def test_the_processors_clock_runs_while_we_work():
    before, end = machine._busy_seconds(), time.perf_counter() + 0.2
    while time.perf_counter() < end:
        pass
    assert machine._busy_seconds() - before > 0.1


# The command


def bench(*arguments):
    return main(["bench", "--backend", BACKEND, *map(str, arguments)])


@pytest.fixture(scope="module")
def measured(digits, tmp_path_factory):
    """The document of a real, very short run of numcnn alone, its table, and the picture's file."""
    folder = tmp_path_factory.mktemp("measured")
    command = [sys.executable, "-m", "numcnn", "bench", "--quick", "--rounds", "1", "--dataset", digits]
    files = ["--json", folder / "b.json", "--plot", folder / "b.png", "--no-peers", "--backend", BACKEND]
    # Without compiled kernels two BLAS threads would wait for each other by spinning: slow where others work, too.
    command += [] if COMPILED else ["--threads", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*map(str, command), *map(str, files)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "b.json").read_text()), done, folder / "b.png"


def test_the_json_has_what_is_promised(measured):
    document, _, picture = measured
    training, inference = document["training"], document["inference"]
    for name in ("images_per_second", "roofline_ratio", "sgemm_gflops"):
        assert training[name] > 0
    low, high = training["images_per_second_quartiles"]
    assert low <= training["images_per_second"] <= high
    assert 0 < inference["single_us_p50"] <= inference["single_us_p95"]
    assert inference["single_calls"] >= 1  # they end after a time: how many there are is up to the machine
    assert inference["batch_images_per_second"] > 0
    assert document["dataset"] == "digits" and document["command"].startswith("numcnn bench --quick")
    assert document["machine"]["threads"] >= 1 and document["machine"]["cpu"]
    assert document["versions"]["numcnn"] == numcnn.__version__ and document["date"][:2] == "20"
    assert ("scaling" in training) == (document["machine"]["threads"] > 1)
    assert document["rounds"]["training"]["kept"] == document["rounds"]["inference"]["kept"] == 1
    assert training["agreement"]["numcnn's reference kernels"] < 1e-5
    with Image.open(picture) as image:
        assert min(image.size) > 500


def test_the_table_says_it_all(measured):
    _, done, _ = measured
    for text in ("training, batches of 128", "inference, batches of 1,000", "inference, one image", "dense roofline"):
        assert text in done.stdout
    assert "all results agree with numcnn's to " in done.stdout and "medians of 1 round in turn" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_a_missing_peer_is_listed_where_nobody_was_named(measured):
    document, done, _ = measured
    assert document["missing"] == document["peers"] == {} and "not installed" not in done.stdout
    missing = {**document, "missing": {"jax": ["jax", "jaxlib"]}}
    assert "jax: not installed (jax, jaxlib)" in report.to_text(missing).splitlines()


def test_a_missing_peer_that_was_named_is_reported_first(monkeypatch, capsys, digits):
    monkeypatch.setattr(Contestant, "missing_packages", lambda self: ["jax"] if self.peer == "jax" else [])
    assert bench("--peers", "jax", "--dataset", digits) == 2
    hint = "not installed: jax; to install: pip install -e '.[bench]'"
    assert capsys.readouterr().err == f"numcnn bench: {hint}\n"
    assert bench("--peers", "jax,keras", "--dataset", "no/folder") == 2  # keras is there: it goes on, to the next error
    assert capsys.readouterr().err.splitlines()[0] == hint


def test_tables_fit_into_80_columns(measured):
    row = {"kernel": "conv1 relu1 pool1 backward", "plain_us": 123.45, "us": 23.45, "mflop_dense": 12.34}
    row |= {"mflop_done": 1.23, "share_of_peak": 0.987, "kilobytes": 123.4}
    summary = whole_runs._summary([{"seconds": 10 + s, "test_accuracy": 0.99} for s in range(10)])
    times = {"time_to_99": {**summary, "share_of_pytorch": 0.5}, "kernels": [row]}
    rounds = {"inference": {"kept": 10, "disturbed": 10, "left_out": 1}}
    document = {**measured[0], **times, "peers": {"pytorch": {"time_to_99": summary}}, "rounds": rounds}
    document["versions"] = {f"framework{i}": "1.2.3" for i in range(9)}
    lines = report.to_text(document).splitlines()
    assert max(map(len, lines)) <= 80 and all(line == line.rstrip() for line in lines)
    under = lines.index("a training step, for one image") + 1
    assert lines[under].split() == ["plain", "fused", "MFLOP", "of"]
    assert lines[under + 1].split() == ["us", "us", "dense", "done", "peak", "kB"]
    assert "inference: disturbed rounds: 10 of 10; measure again on a quiet machine" in lines
    assert "inference: 1 more round was disturbed by other processes, and left out" in lines


def with_peers(document):
    """Return a document as it would be with peers, one of which has two variants."""
    images = {"images_per_second": 5000.0, "images_per_second_quartiles": [4900, 5100], "ratio": 3.21}
    logits = {"batch_images_per_second": 30_000.0, "batch_images_per_second_quartiles": [29_000, 31_000]}
    logits |= {"single_us_p50": 50.0, "single_us_p95": 60.0, "single_us_quartiles": [49, 51]}
    logits |= {"batch_ratio": 0.5, "single_ratio": 1.25}
    contest = measure.Contest(
        variants={"pytorch-contiguous": {"step": "contiguous"}, "pytorch-channels-last": {"step": "channels_last"}},
        agreement={"pytorch-contiguous": 1e-6, "pytorch-channels-last": 2e-6},
        versions={"torch": "9.9"},
    )
    figures = {NUMCNN: document["training"], "pytorch-contiguous": images}
    figures["pytorch-channels-last"] = {**images, "images_per_second": 6000.0, "ratio": 2.5}
    report.add_contest(document, "training", contest, figures)
    contest = measure.Contest(
        variants={"onnxruntime": {"batch": "run", "single": "run"}},
        agreement={"onnxruntime": 3e-6},
        failed={"openvino": "RuntimeError: no such device"},
    )
    report.add_contest(document, "inference", contest, {NUMCNN: document["inference"], "onnxruntime": logits})
    return document


def test_notes_name_what_is_missing_has_failed_or_was_disturbed():
    document = {
        "missing": {"jax": ["jaxlib"]},
        "failed": {"training: keras": "MemoryError"},
        "rounds": {
            "training": {"kept": 15, "disturbed": 0, "left_out": 4},
            "inference": {"kept": 30, "disturbed": 20, "left_out": 0},
        },
        "machine": {"load_average": 3.0, "processors": 2, "other_work": 0.3},
        "peers": {"pytorch": {"time_to_99": {"runs": [{"other_work": 0.4}], "reached_99": 0}}},
        "time_to_99": {"runs": [{"other_work": 0.0}], "reached_99": 1},
        "scan": {},
    }
    assert report.notes(document) == [
        "jax: not installed (jaxlib)",
        "training: keras failed: MemoryError",
        "training: 4 more rounds were disturbed by other processes, and left out",
        "inference: disturbed rounds: 20 of 30; measure again on a quiet machine",
        "numcnn: 1 of 1 seed reached 99%",
        "PyTorch: 0 of 1 seed reached 99%",
        "whole runs: other processes disturbed 1 of 2",
        "other processes were busy: the load average was 3.0 at the start",
        "other processes took 30% of the machine meanwhile; measure again on a quiet one",
    ]
    document["machine"] = {"load_average": None, "processors": 2, "other_work": None}  # a system that doesn't tell
    assert len(report.notes(document)) == 7


def test_peers_stand_in_json_tables_and_picture(measured):
    from numcnn.evaluation import plots

    document = with_peers(json.loads(json.dumps(measured[0])))
    assert document["peers"]["pytorch"]["training"]["images_per_second"] == 6000  # the better variant
    assert document["peers"]["onnxruntime"]["inference"]["single_us_p50"] == 50
    assert document["versions"]["torch"] == "9.9"
    text = report.to_text(document)
    for part in ("PyTorch, channels_last", "2.50x", "3.21x", "ONNX Runtime", "1.25x", "to 3.0e-06 of"):
        assert part in text
    assert "inference: openvino failed: RuntimeError: no such device" in text
    assert text.index("PyTorch, channels_last") < text.index("PyTorch, contiguous")
    markdown = report.to_markdown(document)
    assert "| PyTorch, channels_last | 6,000 | 4,900 to 5,100 | 2.50x |" in markdown
    assert markdown.count("\n|---|---:|") == 3 and "**numcnn**" in markdown
    figure = plots.benchmark_plot(document)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()].count("ONNX Runtime") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--parts", "training,dancing"], "--parts is training,dancing; wants some of training,inference,kernels,scan"),
        (["--parts", ""], "--parts is empty; give it a value or leave it out"),
        (["--parts", ","], "--parts is ,; wants some of training,inference,kernels,scan"),
        (["--peers", ","], "--peers is ,; wants some of pytorch,keras,jax,onnxruntime"),
        (["--peers", "pytorch,caffe"], "--peers is pytorch,caffe; wants some of pytorch,keras,jax,onnxruntime"),
        (["--peers", "jax", "--no-peers"], "--peers and --no-peers contradict each other"),
        (["--threads", "0"], "--threads is 0; wants 1 to"),
        (["--rounds", "0"], "--rounds is 0; wants 1 or more"),
        (["--seeds", "0"], "--seeds is 0; wants 1 or more"),
        (["--plot", "bars.txt"], "--plot is bars.txt; wants a .png file"),
        (["--plot", "no/such/b.png"], "--plot is no/such/b.png, which can't be written: No such file or directory"),
        (["--json", "README.md"], "--json is README.md; wants a .json file"),
        (["--json", "no/such/b.json"], "--json is no/such/b.json, which can't be written: No such file or directory"),
        (["--json", "-", "--markdown"], "--markdown and --json - would both go to stdout"),
        (["--dataset", "everyone"], "--dataset everyone contains non-digits, which the peers have no label for"),
        (["--parts", "kernels", "--dataset", "everyone-3"], "--dataset everyone-3 contains non-digits"),
        (["--dataset", "SMALL"], "600 training images; the benchmark wants 1,000 or more"),
        (["--parts", "scan", "--dataset", "SMALL"], "600 training images; the benchmark wants 1,000 or more"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(arguments, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "SMALL" in arguments:
        from conftest import write_digits

        arguments = [*arguments[:-1], str(write_digits(tmp_path / "small"))]
    assert bench(*arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err and captured.err.splitlines()[-1].startswith("numcnn bench: ")
    assert captured.out == ""


def test_the_scan_covers_batches_and_data_sets(workload, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "SCAN_BATCHES", (1, 8, 2048))
    monkeypatch.setattr(measure, "SCAN_DATA_SETS", (256, 60_000))
    monkeypatch.setattr(measure, "SCAN_SECONDS", 0.01)
    rows = measure.scan(workload, SHORT, tmp_path, silent)
    assert [row["batch_size"] for row in rows["batch_sizes"]] == [1, 8]  # the workload has 1,024 images
    assert [row["images"] for row in rows["data_sets"]] == [256]
    # Which of the two takes longer is no question here: others use the machine too.
    assert all(row["training_us"] > 0 and row["inference_us"] > 0 for row in rows["batch_sizes"])
    assert rows["data_sets"][0]["epoch_us"] > 0
    broken = dataclasses.replace(SHORT, backend="broken")
    with pytest.raises(BenchmarkError, match="the worker of scan failed: ConfigError: backend 'broken' is unknown"):
        measure.scan(workload, broken, tmp_path, silent)


def test_whole_runs_are_timed_from_outside(digits, monkeypatch):
    monkeypatch.setattr(whole_runs, "FIRST_RUNS", 1)
    monkeypatch.setattr(whole_runs, "LATER_RUNS", 1)
    monkeypatch.setattr(whole_runs, "RECIPE", ("--epochs", "1", "--limit", "128"))
    plain = dataclasses.replace(SHORT, backend="reference")  # which compiles nothing
    started = time.perf_counter()
    own, peer = whole_runs.start_up(plain, ["--dataset", str(digits), "--limit", "128"], silent)
    assert peer is None
    assert own["first_run_s"] > 0.05 and own["later_run_s"] > 0.05
    assert own["first_run_s"] + own["later_run_s"] < time.perf_counter() - started
    assert own["peak_memory_mb"] is None or own["peak_memory_mb"] > 30
    assert own["peak_memory_first_mb"] is None or own["peak_memory_first_mb"] > 30
    own, peer = whole_runs.time_to_accuracy(plain, ["--dataset", str(digits)], 1, silent)
    assert peer is None and own["config"]["epochs"] == 1
    (run,) = own["runs"]
    assert run["seed"] == 0 and own["seconds"] == pytest.approx(run["seconds"], abs=1e-3)
    assert 0 < own["test_accuracy"] < 1 and own["test_accuracy_std"] is None


def test_memory_is_the_processs_own_not_that_of_who_started_it():
    pytest.importorskip("resource")
    block = np.ones(40_000_000)  # 320 MB of this process
    small = whole_runs.peak_memory([sys.executable, "-c", "pass"], SHORT)
    large = whole_runs.peak_memory([sys.executable, "-c", "x = bytearray(200_000_000)"], SHORT)
    assert small < 60 and 180 < large < 280
    del block
    with pytest.raises(BenchmarkError, match="ended with code 3"):
        whole_runs.peak_memory([sys.executable, "-c", "import sys; sys.exit(3)", "", ""], SHORT)


def test_whole_runs_are_reported_as_mean_and_standard_deviation():
    runs = [{"seconds": s, "test_accuracy": a} for s, a in ((7.0, 0.990), (8.0, 0.991), (9.0, 0.992))]
    summary = whole_runs._summary(runs)
    assert (summary["seconds"], summary["seconds_std"]) == (8, 1)
    assert (summary["test_accuracy"], summary["test_accuracy_std"]) == (0.991, 0.001)
    assert summary["reached_99"] == 3  # 0.99 counts
    assert whole_runs._summary([*runs, {"seconds": 9.0, "test_accuracy": 0.9899}])["reached_99"] == 3
    document = {"time_to_99": {**summary, "share_of_pytorch": 0.333}, "peers": {"pytorch": {"time_to_99": summary}}}
    ((title, _, rows),) = report.rows_of(document)
    assert title.startswith("whole runs") and rows[0] == ("numcnn", "8.00 ± 1.00", "99.10% ± 0.10", "3")
    assert rows[1][1:] == rows[0][1:] and rows[2] == ("numcnn's share of PyTorch's time", "0.333", "", "")


def test_how_many_seeds_reached_the_goal_is_reported(measured):
    one = whole_runs._summary([{"seconds": 7.0, "test_accuracy": 0.98}])
    two = whole_runs._summary([{"seconds": 7.0, "test_accuracy": a} for a in (0.99, 0.98)])
    lines = report.notes({**measured[0], "time_to_99": one, "peers": {"pytorch": {"time_to_99": two}}})
    assert "numcnn: 0 of 1 seed reached 99%" in lines and "PyTorch: 1 of 2 seeds reached 99%" in lines


@pytest.mark.parametrize(("error", "code"), [(BenchmarkError, 1), (MismatchError, 1), (WorkerFailed, 1)])
def test_a_measurement_that_fails_is_no_wrong_usage(error, code, monkeypatch, capsys, digits):
    def fail(*_):
        raise error("it went wrong")

    monkeypatch.setattr(measure, "training", fail)
    assert bench("--parts", "training", "--no-peers", "--dataset", digits) == code
    assert capsys.readouterr().err.endswith("numcnn bench: it went wrong\n")


def test_first_runs_get_an_empty_cache_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    code = "import os; print(os.environ.get('NUMBA_CACHE_DIR'), os.environ['XDG_CACHE_HOME'])"
    with whole_runs._process([sys.executable, "-c", code], SHORT, cache=tmp_path) as process:
        assert process.stdout.read() == f"None {tmp_path}\n"


def test_a_whole_run_that_fails_says_why():
    with pytest.raises(BenchmarkError, match=r"^numcnn train \.\.\. ended with code 2: numcnn train: .*no-such-folder"):
        whole_runs.time_to_accuracy(SHORT, ["--dataset", "no-such-folder"], 1, silent)


@pytest.mark.compiled
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "code", "last"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signals_leave_no_process_and_no_folder_behind(digits, tmp_path, number, code, last):
    command = "bench", "--quick", "--rounds", "1000", "--dataset", digits, "--no-peers", "--backend", BACKEND
    with running("-m", "numcnn", *command, stdout=subprocess.DEVNULL, TMPDIR=str(tmp_path)) as process:
        read_until(process.stderr, "all results agree")
        assert len(processes_that_name(tmp_path)) >= 2  # the workers, whose folder is in there
        process.send_signal(number)
        error = process.communicate()[1]
    assert process.returncode == code and error.endswith(f"numcnn bench: {last}\n") and "Traceback" not in error
    assert processes_that_name(tmp_path) == [] and os.listdir(tmp_path) == []


def processes_that_name(path):
    """Return the ids of the processes that have ``path`` in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if str(path).encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue  # it has just ended
    return found
