"""Imports point one way, no two files import each other, and the light ones stay light."""

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

import numcnn

pytestmark = pytest.mark.once

ROOT = Path(numcnn.__file__).parent

# From the ground up: a folder imports from those before it and from itself.
FLOORS = (
    "children",
    "console",
    "errors",
    "files",
    "interrupts",
    "kernels",
    "evaluation",
    "imaging",
    "nn",
    "data",
    "walkthrough",
    "training",
    "recognition",
    "pad",
    "benchmark",
    "commands",
    "cli",
    "__main__",
)
# The one arrow upwards: ``Network.fit`` is a door to the training loop.
UPWARDS = {("nn.network", "training.loop"), ("nn.network", "training.config")}

# Who may import what takes long to load; everybody else asks them.
DOORS = {
    "numba": ("kernels.fast.",),
    "llvmlite": ("kernels.fast.",),
    "pygame": ("pad.", "benchmark.pad_player"),
    "matplotlib": ("evaluation.plots.style",),
    "PIL": ("imaging.", "pad."),  # imaging/ reads, resizes and paints pictures; the pad writes them
    "requests": ("data.download",),
    "pooch": ("data.download",),
    "urllib3": ("data.download",),
}
PEERS = {"torch", "keras", "tensorflow", "jax", "onnx", "onnxruntime", "openvino", "tesserocr", "rapidocr"}
NEVER = {"tests", "scripts", "scipy", "tkinter"}


def module_of(path):
    """Return the module of a file, without ``numcnn.``: "nn.layers"; a package is its folder's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}
MODULES = [module for module in FILES if module]


@cache
def imported(module):
    """Return the full names that a module imports, anywhere in it: {"numpy", "numcnn.nn.layers", ...}."""
    names = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"numcnn.{module.rpartition('.')[0]}".rstrip(".") if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                part = f"{source}.{alias.name}"
                names.add(part if part.removeprefix("numcnn.") in FILES else source)
    return names


@cache
def uses(module):
    """Return the modules of numcnn that a module imports."""
    return {name.removeprefix("numcnn.") for name in imported(module) if name.startswith("numcnn.")} & set(FILES)


def floor(module):
    return FLOORS.index(module.split(".")[0])


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    for other in uses(module):
        if (module, other) not in UPWARDS:
            assert floor(other) <= floor(module), f"{module} imports {other}, which stands above it"


@pytest.mark.parametrize("module", MODULES)
def test_no_file_imports_itself_round_a_circle(module):
    """But for the one door upwards; a package's ``__init__`` counts as a file of its own."""
    seen, ahead = set(), [(other, (module, other)) for other in uses(module) if (module, other) not in UPWARDS]
    while ahead:
        other, way = ahead.pop()
        assert other != module, " -> ".join(way)
        if other not in seen:
            seen.add(other)
            ahead += [(more, (*way, more)) for more in uses(other) if (other, more) not in UPWARDS]


def test_at_most_ten_folders_stand_on_each_other():
    """Count the floors as a visitor does: a folder stands one above the highest that it imports."""
    below = defaultdict(set)
    for module in MODULES:
        for other in uses(module):
            if other and (module, other) not in UPWARDS and other.split(".")[0] != module.split(".")[0]:
                below[module.split(".")[0]].add(other.split(".")[0])

    @cache
    def height(folder):
        return 1 + max((height(other) for other in below[folder]), default=0)

    assert max(map(height, list(below))) <= 10, {folder: height(folder) for folder in list(below)}


def test_kernels_import_nothing_of_numcnn_but_errors():
    for module in MODULES:
        if module.split(".")[0] == "kernels":
            others = {other for other in uses(module) if other.split(".")[0] != "kernels"}
            assert others <= {"errors"}, f"{module} imports {others}"


def test_what_takes_long_to_load_has_one_door():
    for module in MODULES:
        roots = {name.split(".")[0] for name in imported(module)}
        for library, doors in DOORS.items():
            assert library not in roots or module.startswith(doors), f"{module} imports {library}"
        peers = set() if module.startswith("benchmark.peers.") else PEERS
        assert not roots & {*NEVER, *peers}, module
        assert module.startswith("kernels.fast") or not any(
            name.startswith("numcnn.kernels.fast") for name in top_level(module)
        ), f"{module} loads Numba when it is imported"
        if not module.startswith("benchmark.peers"):
            assert not any(name.startswith("numcnn.benchmark.peers") for name in imported(module)), module


def test_ruff_guards_the_same_doors():
    ruff = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert ruff["flake8-tidy-imports"]["banned-api"].keys() == DOORS.keys()
    opened = [path for path, rules in ruff["per-file-ignores"].items() if "TID251" in rules]
    files = {module: f"numcnn/{path.relative_to(ROOT).as_posix()}" for module, path in FILES.items()}
    doors = tuple(door for some in DOORS.values() for door in some)
    behind = {module for module in MODULES if f"{module}.".startswith(doors)}
    assert behind == {module for module in MODULES if any(fnmatch(files[module], pattern) for pattern in opened)}


def top_level(module):
    """Return the modules that importing this one imports at once."""
    for node in ast.parse(FILES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_two_files_have_one_name():
    found = defaultdict(list)
    for module, path in FILES.items():
        if path.stem not in ("__init__", "__main__"):
            found[path.stem].append(module)
    assert not {name: modules for name, modules in found.items() if len(modules) > 1}


@pytest.mark.parametrize(
    "statement",
    [
        "import numcnn",
        "import numcnn, numpy; numcnn.load; numcnn.Network([numcnn.Dense(3)], (4,)).predict",
        "import numcnn.data.handwriting, numcnn.evaluation.calibration, numcnn.evaluation.plots",
        "import numcnn.training.loop, numcnn.training.run_folder, numcnn.recognition.reading, numcnn.imaging.raster",
        "import numcnn.cli; from numcnn import data, plots, preprocess",
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
