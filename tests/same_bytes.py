"""Train with --reproducible as other processors, threads and processes would: all must end in the same bytes.

python tests/same_bytes.py [FOLDER]    every processor below with 1 to 4 threads, fused and not, and 1 to 4 processes

A processor is imitated by what the libraries ask for: Numba compiles for the one named, BLAS takes its kernels, NumPy
and the C library leave out instructions.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import write_digits
from llvmlite import binding
from processes import ROOT

# What differs between machines and could show: augmentation, dropout, clipping, averages, two epochs with validation.
SETTINGS = "--reproducible --limit 160 --val 40 --batch-size 40 --epochs 2 --augment 0.6 --disturb 0.5 --dropout 0.2"
SETTINGS = f"{SETTINGS} --clip 1 --average 0.9 --label-smoothing 0.05 --quiet --json".split()

# As if the machine had more processors: results must not depend on how many threads really run at a time.
MANY_THREADS = """
import sys
from numcnn.kernels import thread_team
thread_team.available_threads = lambda: 4
from numcnn.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _of_numpy():
    """Return the instructions beyond the baseline that NumPy uses here, by the names of this version."""
    from numpy._core import _multiarray_umath as numpy_core

    return " ".join(name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name])


AVX512 = {"NUMBA_CPU_FEATURES": "+avx512f"}
PLAIN_C = {"NPY_DISABLE_CPU_FEATURES": _of_numpy(), "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"}
PROCESSORS = {
    "this one": {},
    "haswell": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "", "OPENBLAS_CORETYPE": "Haswell", **PLAIN_C},
    "skylake-avx512": {"NUMBA_CPU_NAME": "skylake-avx512", "OPENBLAS_CORETYPE": "SkylakeX", **AVX512},
    "znver4": {"NUMBA_CPU_NAME": "znver4", "OPENBLAS_CORETYPE": "Zen", **AVX512, **PLAIN_C},
}


def can_run(processor):
    """Return whether this machine has what the processor has."""
    have = binding.get_host_cpu_features()
    needed = {"haswell": ("avx2", "fma"), "this one": ()}.get(processor, ("avx512f", "avx512bw", "avx512vl"))
    return all(have.get(feature) for feature in needed)


def weights_of(processor, threads, data, out, *options, start=()):
    """Train as this processor would, in a process of its own.  Return the SHA-256 of the weights.

    start: a command that starts the process, such as mpiexec's.
    """
    command = [
        *start,
        sys.executable,
        "-c",
        MANY_THREADS,
        "train",
        "--dataset",
        data,
        "--out",
        out,
        *SETTINGS,
        *options,
    ]
    environment = {**os.environ, **PROCESSORS[processor], "PYTHONPATH": str(ROOT)}
    command = [*map(str, command), "--threads", str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["weights_sha256"]


def main(folder):
    """Train everything; print each SHA-256.  Return whether they are equal."""
    data, equal = write_digits(folder / "drawn"), True
    ran = [name for name in PROCESSORS if can_run(name)]
    for options in ([], ["--no-fuse"]):
        found = set()
        for name in ran:
            for threads in (1, 2, 3, 4) if not options else (1, 4):
                out = folder / f"{name}-{threads}-{len(options)}"
                sha256 = weights_of(name, threads, data, out, *options)
                found.add(sha256)
                print(f"{name:15} {threads} threads {' '.join(options):10} {sha256}", flush=True)
        mpiexec = Path(sys.executable).parent / "mpiexec"
        for processes in (2, 3, 4) if mpiexec.exists() and not options else ():
            out = folder / f"processes-{processes}"
            sha256 = weights_of("this one", 1, data, out, start=[mpiexec, "-n", str(processes)])
            found.add(sha256)
            print(f"{processes} processes of 1 thread{'':10} {sha256}", flush=True)
        equal = equal and len(found) == 1
    print(
        "all equal" if equal else "they DIFFER", "" if len(ran) == len(PROCESSORS) else f"(only {', '.join(ran)} ran)"
    )
    return equal


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(0 if main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary)) else 1)
