"""Where compiled kernels are cached, and that NaN survives the floating-point optimisations."""

import ast
import gc
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPILED

import numcnn
from numcnn.kernels import on_compilation
from numcnn.kernels.fast import jit

USE = """
import numpy as np
from numcnn.kernels.fast import jit, ops as fast
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
    again = use(NUMBA_CACHE_DIR=str(folder))  # as a child process inherits it
    assert again == folder


def test_a_changed_file_is_another_folder(tmp_path, monkeypatch):
    before = jit.cache_tag()
    assert before == jit.cache_tag()
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "fast" / "jit.py"))
    seen = {before, jit.cache_tag()}
    for path in (tmp_path / "simd.py", tmp_path / "deeper" / "simd.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("LANES = 1")
        seen.add(jit.cache_tag())
    path.write_text("LANES = 2")
    assert len(seen | {jit.cache_tag()}) == 5


PACKAGE = Path(numcnn.__file__).parent


def imported(path):
    """Yield the full name of all that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)


def files_taken_from(path):
    """Yield the package's files that a module imports, or imports names from."""
    for name in imported(path):
        for place in (PACKAGE.parent.joinpath(*parts) for parts in (name.split("."), name.split(".")[:-1])):
            files = [file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()]
            if files:
                yield from files
                break


def test_the_tag_covers_every_file_that_compiled_code_depends_on():
    # A file that compiles has `kernel` or Numba from `jit`, or Numba itself.
    from_jit = {"numcnn.kernels.fast.jit.kernel", "numcnn.kernels.fast.jit.numba"}
    left = [
        path
        for path in PACKAGE.rglob("*.py")
        if any(name in from_jit or name.split(".")[0] in ("numba", "llvmlite") for name in imported(path))
        or re.search(r"\bjit\.(kernel|numba)\b", path.read_text(encoding="utf-8"))
    ]
    assert {"ops.py", "augment.py", "simd.py", "jit.py"} <= {path.name for path in left}
    reached = set()
    while left:
        path = left.pop()
        if path not in reached:
            reached.add(path)
            left += files_taken_from(path)
    errors = PACKAGE / "errors.py"
    missing = reached - {errors} - set(jit.hashed_files())
    assert not missing, f"kernels in a warm cache would miss changes of {sorted(map(str, missing))}"
    # Errors need not be hashed as long as they are only raised: no number of theirs can be in compiled code.
    for path in reached - {errors}:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        raised = {id(name) for node in ast.walk(tree) if isinstance(node, ast.Raise) for name in ast.walk(node)}
        kinds = {name.rpartition(".")[2] for name in imported(path) if name.startswith("numcnn.errors.")}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in kinds:
                assert id(node) in raised, f"{path}, line {node.lineno}: {node.id} is not just raised"


AUGMENT = """
import numpy as np
import numcnn
from numcnn.data.augmentation import Augmentation, make_key
from numcnn.kernels import get_backend
images = np.random.default_rng(0).integers(0, 256, (2, 28, 28)).astype(np.uint8)
settings = np.arange(2), np.arange(2), make_key(3), Augmentation(elastic=2), 1.0, 0.0
reference, fast = np.empty((2, 2, 28, 28, 1), np.float32)
get_backend("reference").augment_images(images, *settings, reference)
get_backend("fast").augment_images(images, *settings, fast)
print(numcnn.__file__, np.abs(fast - reference).max(), fast.sum())
"""


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_a_warm_cache_follows_a_changed_constant(tmp_path):
    """The reference uses the new constant at once: so must compiled code, in which the old one is frozen."""
    copied = tmp_path / "numcnn"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    environment = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}  # whose time stamps are too coarse for two versions in a second

    def run():
        command = [sys.executable, "-c", AUGMENT]
        done = subprocess.run(command, env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        file, error, total = done.stdout.split()
        assert Path(file).is_relative_to(tmp_path) and float(error) < 0.02
        return float(total)

    before = run()
    (changed,) = [path for path in copied.rglob("*.py") if "\nLATTICE_RMS = 0.277\n" in path.read_text("utf-8")]
    changed.write_text(changed.read_text("utf-8").replace("LATTICE_RMS = 0.277", "LATTICE_RMS = 0.1"), "utf-8")
    assert abs(run() - before) > 100


def test_old_versions_are_deleted_when_a_new_one_makes_its_folder(tmp_path):
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


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no file owners")
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
    """What Numba's cache does when no folder is writable."""

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


@pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: nothing is compiled")
@pytest.mark.parametrize("before", [True, False])
def test_garbage_is_not_looked_for_while_a_kernel_is_compiled(before):
    inner = jit.numba.njit(lambda x: x + 1)
    outer, bad = jit.numba.njit(lambda x: inner(x)), jit.numba.njit(lambda x: x.nothing)
    collecting = gc.isenabled
    (gc.enable if before else gc.disable)()
    try:
        seen = []
        with on_compilation(lambda: seen.append(collecting())), on_compilation(lambda: seen.append(collecting())):
            assert outer(1) == 2 and collecting() == before
        with on_compilation(lambda: seen.append(collecting())), pytest.raises(jit.numba.TypingError):
            bad(1)
        assert collecting() == before and seen == [False] * 3
    finally:
        gc.enable()
