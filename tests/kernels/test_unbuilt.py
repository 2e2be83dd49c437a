"""Parts of Numba and LLVM that aren't public are taken away, in processes of their own: the plain kernels answer."""

import json
import re

import numpy as np
import pytest
from conftest import COMPILED, draw_digits, write_digits
from PIL import Image
from processes import ROOT, running

import numcnn

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: nothing is built"),
]

# What another version of Numba may do, before numcnn loads it.
BREAKS = {
    "a module of simd is gone": 'import sys; sys.modules["numba.core.cgutils"] = None',
    "a function of simd is gone": "from numba.core import codegen; del codegen.get_host_cpu_features",
    "simd emits nothing": "from numba.core import cgutils; cgutils.get_or_insert_function = None",
    "an instruction of spin_wait is gone": "from llvmlite import ir; del ir.IRBuilder.load_atomic",
    "simd computes something else": "from llvmlite.ir import IRBuilder; old = IRBuilder.shuffle_vector\n"
    "IRBuilder.shuffle_vector = lambda self, a, b, lanes: old(self, b, a, lanes)",
    "simd compares the other way round": "from llvmlite import ir; old = ir.IRBuilder.icmp_unsigned\n"
    "def turned(self, how, a, *more):\n"
    "    return old(self, {'==': '!='}.get(how, how) if isinstance(a.type, ir.VectorType) else how, a, *more)\n"
    "ir.IRBuilder.icmp_unsigned = turned",
    "the library of LLVM can't be loaded": "import sys\nclass Broken:\n    def find_spec(self, name, *others):\n"
    "        if name == 'llvmlite.binding':\n            raise OSError('Could not find/load shared object file')\n"
    "sys.meta_path.insert(0, Broken())",
    "Numba is gone": 'import sys; sys.modules["numba"] = None',
}
LINE = re.compile(r"the fast kernels can't be built with this Numba \(\w+: .*\); the plain ones answer, more slowly")


@pytest.fixture
def run(tmp_path):
    """A function that runs numcnn with a break, with nothing compiled before; returns stdout and stderr's lines."""

    def call(broken, *arguments):
        (tmp_path / "sitecustomize.py").write_text(BREAKS[broken])
        folders = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
        environment = {**folders, "PYTHONPATH": f"{tmp_path}:{ROOT}", "NUMCNN_DATA": ""}
        with running("-m", "numcnn", *arguments, cwd=tmp_path, **environment) as process:
            stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        return stdout, stderr.splitlines()

    return call


@pytest.mark.parametrize("broken", BREAKS)
def test_the_plain_kernels_answer_and_one_line_says_so(run, tmp_path, broken):
    images, _ = draw_digits(3, 5)
    labels = numcnn.load(backend="reference").predict(images)
    for k in range(3):
        Image.fromarray(255 - images[k]).resize((112, 112)).save(tmp_path / f"{k}.png")
    stdout, lines = run(broken, "predict", *(f"{k}.png" for k in range(3)), "--single", "--csv")
    assert [line.split(",")[1] for line in stdout.splitlines()[1:]] == [str(label) for label in labels]
    assert sum(bool(LINE.search(line)) for line in lines) <= 1 and "Traceback" not in "".join(lines)
    # Drawing digits without kernels takes long, so one case does.
    dataset = "generated" if broken == "Numba is gone" else write_digits(tmp_path / "digits")
    few = ["--limit", "60", "--val", "20", "--epochs", "1", "--no-test"]
    _, lines = run(broken, "train", "--dataset", dataset, *few, "--out", "run")
    assert sum(bool(LINE.search(line)) for line in lines) == 1 and "Traceback" not in "".join(lines)
    assert np.load(tmp_path / "run" / "best.npz")
    versions = [json.loads(path.read_text()).get("versions", {}) for path in (tmp_path / "run").glob("*.json")]
    assert any(versions) and not any("numba" in one for one in versions), "the plain kernels don't depend on it"
