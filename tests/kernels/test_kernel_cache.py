"""The cache of compiled kernels, damaged and full, in processes of their own."""

import os
import subprocess
import sys

import pytest
from conftest import COMPILED

from numcnn.kernels.fast import kernel_cache

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled")

USE = """
import numpy as np
from numcnn.kernels import on_compilation
from numcnn.kernels.fast import ops
out = np.empty(3, np.float32)
with on_compilation(lambda: print("compiled")):
    ops.relu_forward(np.array([-1, 2, np.nan], np.float32), out)
    ops.relu_backward(np.ones(3, np.float32), np.array([0, 2, 3], np.float32), out)
assert out.tolist() == [0, 1, 1], out
"""


def use(folder, before=""):
    """Run two kernels in a new process; return whether something was compiled, and the lines on stderr."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", before + USE], env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout == "compiled\n", done.stderr.splitlines()


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that holds two kernels."""
    folder = tmp_path_factory.mktemp("warm")
    assert use(folder) == (True, [])
    return folder


DAMAGE = {
    "empty": lambda content: b"",
    "short": lambda content: content[: len(content) // 2],
    "one bit": lambda content: content[:-100] + bytes([content[-100] ^ 16]) + content[-99:],
    "one bit of the first": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "zeros, as long": lambda content: bytes(len(content)),
    "Numba's own, without a hash": lambda content: content[: -kernel_cache.SEAL_BYTES],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_again_and_said_in_one_line(warm, damage):
    (index,), (code,) = warm.rglob("*relu_forward*.nbi"), warm.rglob("*relu_backward*.nbc")
    for path in (index, code):
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
        assert not kernel_cache.is_sound(path)
    compiled, (line,) = use(warm)
    assert compiled and str(index) in line and "is damaged" in line and "compiled again" in line
    assert kernel_cache.is_sound(index) and kernel_cache.is_sound(code)


def test_afterwards_nothing_is_compiled_again(warm):
    assert use(warm) == (False, [])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_counts_as_damaged(warm):
    (code,) = warm.rglob("*relu_backward*.nbc")
    code.chmod(0)
    compiled, (line,) = use(warm)
    assert compiled and "is damaged" in line


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for the size of files")
def test_where_files_cannot_be_written_the_work_goes_on_without_a_cache(tmp_path):
    compiled, (line,) = use(tmp_path, FULL)
    assert compiled and "can't be kept in" in line and "File too large" in line and "NUMBA_CACHE_DIR" in line
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name]
    assert use(tmp_path) == (True, [])  # what was left behind disturbs nothing


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(tmp_path):
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mount.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        assert use(tmp_path)[0]
        for path in tmp_path.rglob("*.nb?"):
            path.write_bytes(b"")
        with pytest.raises(OSError, match="No space"), open(tmp_path / "rest", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        compiled, lines = use(tmp_path)
        assert compiled and any("No space left" in line for line in lines) and len(lines) == 2, lines
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_another_numba_is_used_as_it_is(tmp_path):
    """If its private parts change, kernels are cached as Numba does it."""
    changed = "from numba.core import caching\ncaching.IndexDataCacheFile._open_for_write_ = "
    changed += "caching.IndexDataCacheFile._open_for_write\ndel caching.IndexDataCacheFile._open_for_write\n"
    changed += "caching.IndexDataCacheFile._save_index = caching.IndexDataCacheFile._save_data = lambda *_: None\n"
    assert use(tmp_path, changed) == (True, [])
