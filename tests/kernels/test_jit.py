"""Where compiled kernels are cached, and that NaN survives the floating-point liberties."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPILED

from numcnn.kernels.fast import jit

USE = """
import numpy as np
from numcnn.kernels import fast, jit
out = np.empty(3, np.float32)
fast.relu_forward(np.array([-1, 2, np.nan], np.float32), out)
assert out[0] == 0 and out[1] == 2 and np.isnan(out[2])
print(jit.numba.config.CACHE_DIR)
"""


def use(**environment):
    """Run a kernel in a new process; return the cache folder it used."""
    env = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", USE], env={**env, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_a_folder_of_our_own_named_after_the_flags(tmp_path):
    folder = use(XDG_CACHE_HOME=str(tmp_path))
    assert folder.parent == tmp_path / "numcnn" and folder.name.startswith("numba-")
    if COMPILED:
        assert any(folder.rglob("*.nbi"))


def test_the_users_own_choice_stays(tmp_path):
    folder = use(NUMBA_CACHE_DIR=str(tmp_path / "mine"))
    assert folder == tmp_path / "mine" / f"numba-{jit.cache_tag()}"  # other kernels, other folder
    again = use(NUMBA_CACHE_DIR=str(folder))  # as a child process is told
    assert again == folder


def test_a_changed_kernel_is_another_folder(tmp_path, monkeypatch):
    before = jit.cache_tag()
    assert before == jit.cache_tag()
    (tmp_path / "vectors.py").write_text("LANES = 1")
    (tmp_path / "fast").mkdir()
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "fast" / "jit.py"))
    other = jit.cache_tag()
    (tmp_path / "team.py").write_text("no kernel")
    assert before != other == jit.cache_tag()


def test_old_versions_are_thrown_away_when_a_new_one_makes_its_folder(tmp_path):
    old, young, others = (tmp_path / "numcnn" / name for name in ("numba-00000000", "numba-11111111", "datasets"))
    for folder in (old, young, others):
        folder.mkdir(parents=True, mode=0o700)
        (folder / "file").write_text("")
    for folder in (old, others):
        os.utime(folder, (0, 0))
    (tmp_path / "numcnn").chmod(0o700)
    folder = use(XDG_CACHE_HOME=str(tmp_path))
    assert not old.exists() and young.exists() and others.exists() and folder.exists()


def test_no_place_to_write_to_falls_back(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "temporary").mkdir()
    folder = use(XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path / "temporary"))
    assert folder.is_relative_to(tmp_path / "temporary")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system knows no owners")
def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path):
    (tmp_path / "cache" / "numcnn").mkdir(parents=True)
    (tmp_path / "cache" / "numcnn").chmod(0o777)
    (tmp_path / "temporary").mkdir()
    folder = use(XDG_CACHE_HOME=str(tmp_path / "cache"), TMPDIR=str(tmp_path / "temporary"))
    assert folder.is_relative_to(tmp_path / "temporary")


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_without_any_place_kernels_are_compiled_but_not_kept(monkeypatch):
    monkeypatch.setattr(jit.numba.core.caching.FunctionCache, "_impl_class", NoPlace)

    @jit.kernel
    def double(x):
        return x * 2

    assert double(np.float32(4)) == 8


class NoPlace:
    """What Numba's cache does when no folder can be written to."""

    def __init__(self, function):
        raise RuntimeError("cannot cache function: no locator available")


def test_nan_and_infinity_survive_the_flags():
    @jit.kernel
    def count(values):
        found = 0
        for value in values:
            found += value != value or value == np.inf
        return found

    assert count(np.array([1, np.nan, np.inf, -np.inf])) == 2
    assert not {"nnan", "ninf", "fast"} & jit.FASTMATH
