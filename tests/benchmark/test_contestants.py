"""numcnn's own contestants at work, each in this process, and one in its worker's process; the table of kernels."""

import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import BACKEND, draw_digits
from processes import running

import numcnn
from numcnn.benchmark import contestants, kernel_table, measure
from numcnn.benchmark.contestants import NUMCNN, UNFUSED
from numcnn.benchmark.measure import Settings
from numcnn.benchmark.numcnn_contestants import NumcnnInference, NumcnnTraining, Scan, Sgemm
from numcnn.benchmark.worker import Worker
from numcnn.benchmark.workload import WORKLOAD_FILE, step_flops


@pytest.fixture(scope="module")
def workload():
    images, labels = draw_digits(600, 9)  # for which rounding flips no ReLU and no maximum
    images, labels = np.tile(images, (2, 1, 1)), np.tile(labels, 2)
    return measure.make_workload(SimpleNamespace(train_images=images, train_labels=labels, test_images=images))


@pytest.fixture(autouse=True)
def no_long_warm_up(monkeypatch, one_thread):
    """Warm up for no longer than a call takes, on one thread, which a contestant sets for its process."""
    monkeypatch.setattr(contestants, "WARM_UP_SECONDS", 0)


@pytest.mark.once
def test_a_worker_answers_each_request_with_a_line_and_ends_with_its_input(workload, tmp_path):
    workload.save(tmp_path / WORKLOAD_FILE)
    where = "numcnn.benchmark.numcnn_contestants:NumcnnTraining"
    requests = [
        {"do": "load", "where": where, "threads": 1, "options": {"backend": BACKEND}},
        {"do": "agree"},
        {"do": "settle", "seconds": 0.001},
        {"do": "burst"},
        {"do": "dance"},
    ]
    with running("-m", "numcnn.benchmark.worker", tmp_path, NUMCNN, stdin=subprocess.PIPE) as process:
        out, errors = process.communicate("".join(json.dumps(request) + "\n" for request in requests))
        assert process.returncode == 0, errors
    *answers, refused = map(json.loads, out.splitlines())
    versions, file, chosen, burst = (answer["result"] for answer in answers)
    assert versions["numcnn"] == numcnn.__version__ and chosen == {"step": BACKEND}
    assert burst["step_seconds"] > 0 and burst["loss"] > 0 and burst["processor_seconds"] > 0
    assert refused == {"error": "AttributeError: 'Worker' object has no attribute 'dance'"}
    with np.load(tmp_path / file) as arrays:
        assert 1 < arrays["loss"] < 5 and arrays["dconv1.w"].any()


def test_fused_and_layer_by_layer_agree_on_loss_and_gradients(workload, tmp_path):
    workload.save(tmp_path / WORKLOAD_FILE)
    found = []
    for name, fuse in ((NUMCNN, True), (UNFUSED, False)):
        worker = Worker(tmp_path, name)
        options = {"backend": BACKEND, "fuse": fuse}
        worker.load("numcnn.benchmark.numcnn_contestants:NumcnnTraining", threads=1, options=options)
        found.append(dict(np.load(tmp_path / worker.agree())))
    fused, plain = found
    assert fused.keys() == plain.keys() and len(fused) == 9
    for key, values in fused.items():
        assert measure.relative_difference(values, plain[key]) < 1e-4, key


def test_training_trains(workload):
    training = NumcnnTraining(workload, 1, BACKEND)
    before = training.network.params.copy()
    assert training.settle(0.001) == {"step": BACKEND}
    burst = training.burst()
    assert burst["step_seconds"] > 0 and burst["loss"] == training.wait() > 0
    assert (training.network.params != before).mean() > 0.5


@pytest.mark.once
def test_inference_reads_batches_and_single_images(workload):
    inference = NumcnnInference(workload, 1, BACKEND)
    arrays = inference.arrays()
    for name, logits in arrays.items():
        np.testing.assert_allclose(logits[0], arrays["batch logits, logits"][0], atol=1e-4, err_msg=name)
    inference.warm_up()
    assert inference.settle(0.001).keys() == {"batch", "single"}
    burst = inference.burst(single_calls=3)
    assert burst["batch_seconds"] > 0 and 1 <= len(burst["single_us"]) <= 3 and min(burst["single_us"]) > 0


def test_the_machines_peak_is_that_of_its_products(workload):
    peak = Sgemm(workload, 2, BACKEND, size=64)
    peak.warm_up()
    burst = peak.burst()
    assert burst.keys() == {"gflops", "gflops_one_thread"} and min(burst.values()) > 0
    alone = Sgemm(workload, 1, BACKEND, size=64).burst()
    assert alone["gflops"] == alone["gflops_one_thread"]


@pytest.mark.parametrize(("what", "size"), [("training", 16), ("inference", 16), ("epoch", 128)])
def test_a_scan_gives_microseconds_an_image(workload, what, size):
    assert Scan(workload, 1, BACKEND).burst(what, size, 0.001)["us"] > 1


def test_the_table_of_kernels_accounts_for_every_operation_of_a_step(workload, monkeypatch):
    monkeypatch.setattr(kernel_table, "WARM_UP", 1)
    monkeypatch.setattr(kernel_table, "STEPS", 1)
    monkeypatch.setattr(kernel_table, "PEAK_SIZE", 64)
    settings = Settings(threads=1, rounds=1, seconds=0.001, peers=(), backend=BACKEND, quick=True)
    rows = kernel_table.measure_kernels(workload, settings, None)
    names = [row["kernel"] for row in rows]
    assert names[:3] == ["gather", "conv1 relu1 pool1 forward", "conv2 relu2 pool2 forward"] and names[-1] == "Adam"
    assert {"dense1 backward", "loss forward", "loss backward", "conv1 relu1 pool1 backward"} < set(names)
    assert sum(row["mflop_dense"] for row in rows) == pytest.approx(step_flops() / 1e6)
    for row in rows:
        assert row["us"] > 0 and row["plain_us"] > 0 and row["mflop_done"] <= row["mflop_dense"]
        assert row["kilobytes"] > 0 or row["kernel"].startswith("loss")
    title, header, texts = kernel_table.kernel_table(rows)
    assert title == "a training step, for one image" and {len(text) for text in texts} == {len(header)}
    assert texts[-1][0] == "whole step" and float(texts[-1][3]) == pytest.approx(step_flops() / 1e6, abs=0.01)
