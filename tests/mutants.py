"""Change one operator, constant or condition of a module at a time, and see whether its tests notice.

    python tests/mutants.py [MODULE ...] [--count 25] [--seed 0] [--at 17,41]

MODULE: a key of MODULES; all of them if none is named.  Each mutant is written into a copy of the checkout and tested
there by the module's test files, without compilation.  A mutant that no test notices survives: read it, and add the
assertion that is missing, or list it in tests/README.md as equivalent.
"""

import argparse
import ast
import contextlib
import copy
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("numcnn", "tests", "weights", "scripts", ".github", "README.md", "pyproject.toml")

# The modules, and the test files that a change of them must fail; those that fail most often come first.
MODULES = {
    "reference": (
        "numcnn/kernels/reference.py",
        "tests/kernels/test_kernels.py tests/nn/test_layers.py tests/nn/test_gradient_check.py tests/nn/test_losses.py "
        "tests/training/test_optim.py tests/nn/test_own_layers.py tests/kernels/test_conv_relu_pool.py",
    ),
    "optim": (
        "numcnn/training/optim.py",
        "tests/training/test_optim.py tests/training/test_loop.py tests/nn/test_state.py",
    ),
    "losses": ("numcnn/nn/losses.py", "tests/nn/test_losses.py tests/nn/test_network.py tests/training/test_loop.py"),
    "preprocess": (
        "numcnn/imaging/preprocess.py",
        "tests/imaging/test_preprocess.py tests/imaging/test_preprocess_files.py tests/imaging/test_raster.py",
    ),
    "checkpoint": ("numcnn/nn/checkpoint.py", "tests/nn/test_checkpoint.py tests/nn/test_state.py"),
    "find": (
        "numcnn/recognition/find.py",
        "tests/recognition/test_find.py tests/recognition/test_page.py tests/recognition/test_page_no_digits.py "
        "tests/recognition/test_page_desks_and_forms.py tests/recognition/test_page_surroundings.py "
        "tests/recognition/test_touching.py",
    ),
    "data_parallel": (
        "numcnn/nn/data_parallel.py",
        "tests/nn/test_data_parallel.py tests/nn/test_concurrency.py tests/nn/test_state.py tests/nn/test_network.py",
    ),
}

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
LEAST_PATIENCE = 20.0  # seconds of processor time for the tests of one mutant
MOST_MEMORY = 6 << 30


def changes(node):
    """Yield the ways to change a node: functions that change a copy of it in place and return it."""
    if isinstance(node, ast.Compare):
        for i in range(len(node.ops)):
            yield lambda new, i=i: new.ops.__setitem__(i, COMPARISONS[type(new.ops[i])]()) or new
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield lambda new: setattr(new, "op", ARITHMETIC[type(new.op)]()) or new
    elif isinstance(node, ast.BoolOp):
        yield lambda new: setattr(new, "op", ast.And() if isinstance(new.op, ast.Or) else ast.Or()) or new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield lambda new: new.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda new: setattr(new, "value", not new.value) or new
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield lambda new: setattr(new, "value", new.value + 1) or new
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield lambda new: setattr(new, "value", new.value * 1.5 or 1.0) or new
    elif isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield lambda new: setattr(new, "test", ast.UnaryOp(ast.Not(), new.test)) or new


def places(tree):
    """Return (owner, field, index) of each node that is run, with its ways to change; annotations and texts aren't."""
    found, ahead = [], [tree]
    while ahead:
        owner = ahead.pop()
        for field, value in ast.iter_fields(owner):
            if field in ("annotation", "returns", "decorator_list", "slice_annotation"):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.JoinedStr) or not isinstance(node, ast.AST):
                    continue
                if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                    continue
                found += [(owner, field, index, change) for change in changes(node)]
                ahead.append(node)
    return sorted(found, key=lambda place: (_node(place).lineno, _node(place).col_offset))


def _node(place):
    owner, field, index, _ = place
    value = getattr(owner, field)
    return value if index is None else value[index]


def mutants(source):
    """Return all mutants of a source: (line, what it was, what it is, the whole source)."""
    tree = ast.parse(source)
    found = []
    for place in places(tree):
        owner, field, index, change = place
        before = _node(place)
        after = change(copy.deepcopy(before))
        _put(owner, field, index, after)
        found.append((before.lineno, _head(before), _head(after), ast.unparse(tree)))
        _put(owner, field, index, before)
    return found


def _put(owner, field, index, node):
    if index is None:
        setattr(owner, field, node)
    else:
        getattr(owner, field)[index] = node


def _head(node):
    return ast.unparse(node).splitlines()[0]


def tested(folder, files, seconds):
    """Run test files in a forked process, in ``folder``.  Return whether all passed, and the processor time they took.

    seconds: the processor time that they may take; a mutant may never end.
    """
    started = os.times()
    pid = os.fork()
    if not pid:
        os.setsid()  # so that what the tests have started can be ended, too
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        os.chdir(folder)
        sys.path[:0] = [str(folder)]
        os.environ["PYTHONPATH"] = str(folder)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code = 70
        try:
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *files])
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20 * seconds
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    after = os.times()
    spent = after.children_user + after.children_system - started.children_user - started.children_system
    return ended[1] == 0, spent


def run(name, count, seed, chosen=()):
    """Test mutants of one module; print those that survive.  Return how many were killed, and how many there were."""
    path, files = MODULES[name]
    files = [file for file in files.split()]
    source = (ROOT / path).read_text()
    every = mutants(source)
    sample = sorted(chosen or random.Random(seed).sample(range(len(every)), min(count, len(every))))
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "checkout"
        for part in COPIED:
            copied = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            folder.mkdir(exist_ok=True)
            copied(ROOT / part, folder / part)
        passed, seconds = tested(folder, files, 3600)
        assert passed, f"{name}: its tests fail before anything is changed"
        killed = 0
        for number in sample:
            line, before, after, changed = every[number]
            (folder / path).write_text(changed)
            passed, _ = tested(folder, files, 3 * seconds + LEAST_PATIENCE)
            killed += not passed
            if passed:
                print(f"  {path}:{line} (--at {number}): {before}  ->  {after}", flush=True)
    print(
        f"{name}: {killed} of {len(sample)} killed, of {len(every)} possible; {seconds:.0f} s for its tests", flush=True
    )
    return killed, len(sample)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", choices=[*MODULES, []], default=[])
    parser.add_argument("--count", type=int, default=25, help="mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at", default="", help="test these alone, by their numbers")
    options = parser.parse_args()
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    for name in ("NUMCNN_DATA", "NUMCNN_PENDIGITS"):
        os.environ.pop(name, None)
    import numba  # noqa: F401  (what takes long to load is loaded once, before forking)
    import numpy  # noqa: F401
    import pytest

    numbers = [int(number) for number in options.at.split(",") if number]
    ends = [run(name, options.count, options.seed, numbers) for name in options.modules or MODULES]
    killed, total = map(sum, zip(*ends, strict=True))
    print(f"together: {killed} of {total} killed, {killed / total:.0%}")
