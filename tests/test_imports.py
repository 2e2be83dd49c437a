"""Imports point one way, and the light ones stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import numcnn

ROOT = Path(numcnn.__file__).parent

# From the ground up: a module may import from lower floors and from its own, as long as no circle comes about.
FLOORS = [
    {"errors"},
    {"files", "initializers", "schedules", "metrics", "kernels", "augment", "calibration"},
    {"layers", "losses", "optim", "preprocess", "raster", "slips", "checkpoint", "plots", "threads", "corruptions"},
    {"models", "network", "data", "fusion", "sharing", "reader", "activations", "batchnorm", "pooling"},
    {"config", "gradients", "predict", "insight"},
    {"train"},
    {"runs", "pad", "personal"},
    {"commands", "benchmark"},
    {"cli"},
    {"__main__"},
]
# Network.fit hands over to the training loop, and the command line loads a command when it is named.
INSIDE_FUNCTIONS = {("network", "train"), ("network", "config")}


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path, anywhere):
    """Yield the parts of numcnn that a file imports: at its top level, or anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "numcnn":
            parts = node.module.split(".")[1:2]
            names = parts or [alias.name for alias in node.names if (ROOT / f"{alias.name}.py").exists()
                              or (ROOT / alias.name).is_dir()]  # fmt: skip
            yield from names
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("numcnn."))


def test_imports_point_one_way():
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    for path in sorted(ROOT.rglob("*.py")):
        part = part_of(path)
        if part == "__init__":
            continue
        assert part in floor, f"{part} has no floor yet"
        for other in imports(path, anywhere=True):
            if other != part and (part, other) not in INSIDE_FUNCTIONS:
                assert floor[other] <= floor[part], f"{path.name} imports {other}, which stands above it"


def top_level_names(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def test_nothing_imports_tests_or_scripts_and_only_three_modules_import_numba():
    for path in ROOT.rglob("*.py"):
        names = {
            n
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(n, ast.Import | ast.ImportFrom)
        }
        modules = {a.name for n in names if isinstance(n, ast.Import) for a in n.names}
        modules |= {n.module or "" for n in names if isinstance(n, ast.ImportFrom)}
        roots = {module.split(".")[0] for module in modules}
        peers = {"torch", "keras", "tensorflow", "jax", "onnx", "onnxruntime", "openvino"}
        if path.parent == ROOT / "benchmark" / "peers":
            peers = set()  # what numcnn is compared with, loaded in workers of their own
        assert not roots & {"tests", "scripts", "scipy", "tkinter", *peers}, path
        if path.parent.name != "peers":
            assert not any(module.startswith("numcnn.benchmark.peers") for module in modules), path
        if "numba" in roots:
            assert path.relative_to(ROOT).as_posix() in ("kernels/jit.py", "kernels/vectors.py", "kernels/fast_wait.py")
        if {"numcnn.kernels.fast.jit", "numcnn.kernels.fast.simd"} & set(_from(path)):
            assert path.name.startswith(("fast", "vectors")) and path.parent.name == "kernels", path


def _from(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize(
    "statement",
    [
        "import numcnn",
        "import numcnn, numpy; numcnn.load; numcnn.Network([numcnn.Dense(3)], (4,)).predict",
        "import numcnn.data.handwriting, numcnn.evaluation.calibration",
        "import numcnn.data, numcnn.training.loop, numcnn.training.run_folder, numcnn.predict, numcnn.cli",
        "import numcnn.evaluation.plots, numcnn.imaging.raster",
    ],
)
def test_importing_is_light(statement):
    code = f"{statement}\nimport sys\nprint(sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(ast.literal_eval(out))
    assert "numpy" in loaded
    assert not loaded & {"numba", "llvmlite", "matplotlib", "pygame", "PIL", "pooch", "requests", "tqdm", "scipy"}


def test_the_public_names_exist():
    for name in numcnn.__all__:
        assert getattr(numcnn, name) is not None
