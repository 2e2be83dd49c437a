"""``numcnn doctor`` on sound and on broken installations."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import COMPILED

import numcnn
from numcnn.benchmark import checkup
from numcnn.nn import checkpoint

pytestmark = pytest.mark.once

ROOT = Path(numcnn.__file__).parents[1]


def doctor(*options, **environment):
    """Return exit code, findings by name (the last of each), and the lines on stderr."""
    env = {**os.environ, "SDL_VIDEODRIVER": "dummy", "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "numcnn", "doctor", *options]
    done = subprocess.run(command, cwd=env["PYTHONPATH"], env=env, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_a_sound_installation(tmp_path):
    code, out, err = doctor("--json", NUMBA_CACHE_DIR=os.environ.get("NUMBA_CACHE_DIR", str(tmp_path)))
    document = json.loads(out)
    found = {check["name"]: check for check in document["checks"]}
    assert (code, err, document["passed"]) == (0, "", True), document
    assert set(found) >= {"versions", "processor", "environment", "BLAS", "pygame", "weights", "data", "your folder"}
    assert set(found) >= {"display", "kernel cache", "gradients", "speed"}
    assert found["versions"]["figures"]["numcnn"] == numcnn.__version__
    for name in ("dask", "distributed", "mpi4py"):
        installed = importlib.util.find_spec(name) is not None
        assert (name in found["versions"]["figures"]) == installed
    assert found["display"]["figures"]["driver"] == "dummy" and found["display"]["state"] == "note"
    assert found["gradients"]["figures"]["passed"] and found["gradients"]["figures"]["compiled_differ_by"] < 1e-3
    assert found["speed"]["figures"]["training_images_per_second"] > 0
    assert found["data"]["state"] == "note" and "training downloads it" in found["data"]["text"]


def test_weights_and_data_that_were_changed_fail(tmp_path, tiny_mnist):
    """As text, from a copy of the package whose weights have one wrong bit, with data that aren't MNIST's."""
    for name in ("numcnn", "weights"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    weights = bytearray((tmp_path / "weights" / "everyone.npz").read_bytes())
    weights[len(weights) // 2] ^= 1
    (tmp_path / "weights" / "everyone.npz").write_bytes(weights)
    (tmp_path / "weights" / "canonical.npz").unlink()
    # Compiled kernels that end the process, as damaged code does.
    fast = tmp_path / "numcnn" / "kernels" / "fast" / "ops.py"
    fast.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    code, out, _ = doctor(PYTHONPATH=str(tmp_path), NUMCNN_DATA=str(tiny_mnist[0]), NUMBA_CACHE_DIR=str(tmp_path))
    lines = {line[8:20].strip(): line for line in out.splitlines()}
    assert code == 1 and out.splitlines()[-1] == "failed: weights, data, kernels"
    assert lines["weights"].startswith("FAILED") and "everyone.npz is damaged" in lines["weights"]
    assert "canonical.npz is missing" in lines["weights"]
    assert lines["data"].startswith("FAILED") and "is not MNIST's" in lines["data"]
    assert lines["kernels"].startswith("FAILED") and "ended by SIGILL" in lines["kernels"]
    assert "NUMBA_DISABLE_JIT=1" in lines["kernels"]


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_a_damaged_cache_is_a_note(tmp_path):
    from numcnn.kernels.fast import jit

    folder = tmp_path / f"numba-{jit.cache_tag()}" / "fast"
    folder.mkdir(parents=True)
    (folder / "ops.nbi").write_bytes(b"")
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = "from numcnn.benchmark import checkup; print(checkup._cache())"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "'note'" in done.stdout and "1 are damaged" in done.stdout, done.stderr


def test_the_hashes_are_those_of_the_shipped_weights():
    """After training other weights: cd weights && sha256sum *.npz > SHA256SUMS"""
    state, text, _ = checkup._weights()
    assert state == "fine", text
    listed = {line.split()[1] for line in (checkpoint.weights_folder() / checkup.SUMS).read_text().splitlines()}
    assert listed == {path.name for path in checkpoint.weights_folder().glob("*.npz")}


def test_the_lowest_versions_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dict(re.fullmatch(r"(.*)>=(.*)", line).groups() for line in project["dependencies"]) == checkup.LOWEST
    assert project["requires-python"] == f">={'.'.join(map(str, checkup.LOWEST_PYTHON))}"


@pytest.mark.parametrize(
    ("installed", "state", "text"),
    [
        ({"pygame-ce": "2.5.8"}, "fine", "pygame-ce 2.5.8"),
        ({"pygame": "2.6.1"}, "note", "not pygame-ce"),
        ({"pygame": "2.6.1", "pygame-ce": "2.5.8"}, "failed", "pip uninstall pygame pygame-ce, then"),
    ],
)
def test_pygame_and_pygame_ce_overwrite_each_other(tmp_path, installed, state, text):
    """Metadata as pip leaves it, in a folder before all others."""
    names = ["pygame", "pygame-ce"]
    for name, version in installed.items():
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    code = "import sys, json, importlib.metadata as m\n"
    code += "from numcnn.benchmark import checkup\n"
    code += f"sys.path[:] = [{str(tmp_path)!r}]\n"
    code += "print(json.dumps(checkup._pygame()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout)
    assert found[0] == state and text in found[1] and set(found[2]) == set(names)


def test_old_and_missing_packages_fail(tmp_path):
    folder = tmp_path / "numpy-1.26.4.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.26.4\n")
    code = f"import sys, json\nfrom numcnn.benchmark import checkup\nsys.path[:] = [{str(tmp_path)!r}]\n"
    code += "print(json.dumps(checkup._versions()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    state, text, _ = json.loads(done.stdout)
    assert state == "failed" and "numpy 1.26.4 (wants 2.0)" in text and "tqdm is missing" in text


def test_a_check_that_raises_is_a_finding():
    found = checkup._guarded("broken", lambda: 1 // 0)
    assert (found.state, found.text) == ("failed", "ZeroDivisionError: integer division or modulo by zero")
