"""--reproducible: the same bytes whatever the threads and the processor.  ``same_bytes.py`` runs all combinations."""

import platform

import numba
import numpy as np
import pytest
import same_bytes
from conftest import COMPILED, draw_digits, write_digits
from processes import running

from numcnn import Network
from numcnn.cli import main
from numcnn.errors import ConfigError
from numcnn.kernels import thread_team
from numcnn.kernels.fast import simd
from numcnn.nn.models import make_layers
from numcnn.training.config import TrainConfig
from numcnn.training.run_folder import load_run
from numcnn.training.session import Options, new_session, resumed_session

compiled = pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: nothing is compiled")


def trained(threads, set_threads, **settings):
    """Return the SHA-256 of a network after three steps."""
    set_threads(threads)
    images, labels = draw_digits(600, 11)
    network = Network(make_layers("canonical"), backend="fast", seed=3)
    network.fit(images[:120], labels[:120], epochs=1, batch_size=40, **settings)
    return network.sha256()


@compiled
def test_any_number_of_threads_gives_the_same_bytes(set_threads):
    assert len({trained(threads, set_threads, reproducible=True) for threads in (1, 2, 3, 5)}) == 1
    assert trained(1, set_threads) != trained(2, set_threads)  # else the test shows nothing
    assert trained(4, set_threads) == trained(1, set_threads, reproducible=True)


@compiled
@pytest.mark.skipif(not same_bytes.can_run("haswell"), reason="this processor has no AVX2")
def test_another_processor_gives_the_same_bytes(tmp_path):
    """Numba, BLAS, NumPy and the C library do as on a processor of 2013, with three threads."""
    drawn = write_digits(tmp_path / "drawn")
    runs = [("this one", 1), ("haswell", 3)]
    assert len({same_bytes.weights_of(name, threads, drawn, tmp_path / name) for name, threads in runs}) == 1


@compiled
def test_a_run_goes_on_with_other_threads_to_the_same_bytes_and_needs_no_warning(tmp_path, set_threads):
    drawn, lines, cards = write_digits(tmp_path / "drawn"), [], []
    config = TrainConfig(reproducible=True, epochs=1, limit=160, val=40, batch_size=40)
    for name, threads in (("whole", 1), ("stopped", min(2, thread_team.available_threads()))):
        session = new_session(config, drawn, Options(threads=threads, quiet=True))
        session.open_folder(tmp_path / name).stop_signal = None if name == "whole" else 2  # stops after a batch
        if session.train().interrupted:
            run = load_run(tmp_path / name)
            session = resumed_session(run, Options(threads=1, quiet=True, report=lines.append))
            session.train()
        cards.append(session.finish()[0])
        session.release()
    assert cards[0]["weights_sha256"] == cards[1]["weights_sha256"] and lines == []


def test_what_cannot_be_reproduced_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="`reproducible` wants the compiled kernels; reference adds up as"):
        TrainConfig(reproducible=True, backend="reference")
    images, labels = draw_digits(600, 11)
    for backend in ("reference", "auto"):
        with pytest.raises(ConfigError, match="use backend='fast'"):
            Network(make_layers("canonical"), backend=backend).fit(images, labels, reproducible=True)
    monkeypatch.setattr("numcnn.kernels.fast.ops.FUSED", False)
    with pytest.raises(ConfigError, match="wants compiled kernels and a processor with fused multiply-add"):
        Network(make_layers("canonical"), backend="fast").fit(images, labels, reproducible=True)


@compiled
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are kinds of x86-64")
@pytest.mark.parametrize(
    ("name", "features", "fused"),
    [
        ("nehalem", "", False),
        ("sandybridge", "", False),
        ("sandybridge", "+fma", True),
        ("haswell", "", True),
        ("haswell", "-fma", False),
        ("x86-64", "", False),
    ],
)
def test_llvm_says_which_processors_have_fused_multiply_add(monkeypatch, name, features, fused):
    monkeypatch.setattr(numba.config, "CPU_NAME", name)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    assert simd._has_fma() == fused


@compiled
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="this is a kind of x86-64")
def test_a_processor_without_fused_multiply_add_is_refused(tmp_path):
    data, out = write_digits(tmp_path / "digits"), tmp_path / "out"
    command = "-m", "numcnn", "train", "--reproducible", "--dataset", data, "--epochs", "1", "--out", out
    with running(*command, NUMBA_CPU_NAME="sandybridge", NUMBA_CPU_FEATURES="") as process:
        _, errors = process.communicate()
    *before, refusal = errors.splitlines()  # before it may stand that the kernels are tried, which compiles some
    assert process.returncode == 2 and len(before) <= 1 and all("compiling" in line for line in before)
    assert "a processor with fused multiply-add (FMA, since 2013)" in refusal and not out.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--seeds", "2", "--reproducible"),
        ("sweep", "--grid", "lr=1e-3,3e-3", "--seeds", "1", "--reproducible"),
        ("sweep", "--grid", "reproducible=false,true", "--seeds", "1"),
    ],
)
def test_what_is_refused_leaves_no_folder(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setattr("numcnn.kernels.fast.ops.FUSED", False)
    data, out = write_digits(tmp_path / "digits"), tmp_path / "out"
    assert main([*command, "--dataset", str(data), "--epochs", "1", "--out", str(out)]) == 2
    assert "--reproducible wants compiled kernels and a processor" in capsys.readouterr().err
    assert not out.exists()


def test_the_hash_is_that_of_names_shapes_and_numbers():
    network = Network(make_layers("canonical"), seed=3)
    before = network.sha256()
    assert before == network.copy().sha256() != Network(make_layers("canonical"), seed=4).sha256()
    network.info["date"], network.temperature = "today", 2.0
    assert network.sha256() == before
    network.params[7] = np.nextafter(network.params[7], np.float32(1))
    assert network.sha256() != before
