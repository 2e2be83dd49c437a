"""How Numba is set up: where compiled kernels are cached, and that LLVM may not change how numbers are rounded.

Only the files in this folder load Numba, so nothing else has to wait for it.
"""

import contextlib
import gc
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from numcnn.errors import ConfigError
from numcnn.kernels.compilation import compilation_begins

# When a new version makes its folder, those of other versions that haven't changed for this many days are deleted.
KEEP_DAYS = 30

Function = TypeVar("Function", bound=Callable[..., Any])

# Numba and llvmlite have few annotations.  Emit: a function that emits LLVM code, see ``numba.extending.intrinsic``.
NumbaObject: TypeAlias = Any
Emit: TypeAlias = Callable[..., NumbaObject]


def hashed_files() -> list[Path]:
    """Return the files whose text decides what kernels are compiled to: all of ``kernels`` and its subfolders.

    Some don't matter, but to compile once too often costs seconds, and an outdated kernel computes wrong numbers.
    """
    return sorted(Path(__file__).parents[1].rglob("*.py"))


def cache_tag() -> str:
    """Return what Numba's cache key omits, as eight letters: the text of all ``hashed_files``.

    (Numba's key has the time stamp of the function's own file only; a function or constant that it takes from another
    file may have changed since: numba #6845.)
    """
    texts = [path.read_bytes() for path in hashed_files()]
    return hashlib.sha256(repr((sys.version_info[:2], texts)).encode()).hexdigest()[:8]


def cache_folder() -> Path | None:
    """Return a writable folder for compiled kernels, with ``cache_tag`` in its name; None if there is none.

    Tried in turn: the folder in NUMBA_CACHE_DIR, and only that if it is set; the user's cache folder; the system's
    temporary folder.
    """
    name = f"numba-{cache_tag()}"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        folder = Path(chosen)
        return folder if folder.name == name else folder / name  # equal: a parent process has set it
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    roots = [lambda: _user_cache() / "numcnn", lambda: Path(tempfile.gettempdir()) / f"numcnn-{owner}"]
    for root in roots:
        try:
            folder = root() / name
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not folder.exists():
                _delete_old_versions(folder.parent)
            folder.mkdir(exist_ok=True, mode=0o700)
            # Numba unpickles the folder's files, so nobody else may write to it.
            if _is_private(folder.parent) and _is_private(folder):
                with tempfile.TemporaryFile(dir=folder):
                    return folder
        except (OSError, RuntimeError):  # RuntimeError: no home folder
            continue
    return None


def _delete_old_versions(root: Path) -> None:
    for folder in root.glob("numba-????????"):
        if folder.stat().st_mtime < time.time() - KEEP_DAYS * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _is_private(folder: Path) -> bool:
    """Return whether only this user may write to ``folder``; true on systems without owners."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022 and not folder.is_symlink()


# Numba reads NUMBA_CACHE_DIR once, when it is first imported.
if "numba" not in sys.modules:
    _folder = cache_folder()
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)

try:
    import numba as _numba  # after its cache folder is set
except ValueError as error:  # such as NUMBA_NUM_THREADS=0
    raise ConfigError(f"Numba refuses one of the NUMBA_ environment variables: {error}; unset it") from error
from numba.core import event  # noqa: E402

from numcnn.kernels.fast import kernel_cache  # noqa: E402

numba: NumbaObject = _numba

# NUMBA_DISABLE_JIT=1 leaves the kernels plain Python: slow, but a debugger can step through them.
COMPILED = not numba.config.DISABLE_JIT


def kernel(function: Function) -> Function:
    """Decorate a function to be compiled on first use, cached on disk, and run without the GIL.

    Never ``fastmath``: LLVM would sum in the lanes of this processor's vectors, and fuse what it likes.  Without it,
    each sum, product, quotient and root is rounded as IEEE 754 says and as the code is written, also in vectors, so
    the result is the same on every machine.  It costs nothing: sums that matter are written in vectors (``simd``).
    Never ``parallel=True``: ``thread_team`` runs kernels in parallel, and says why.
    """
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    compiled = numba.njit(**settings)(function)
    if COMPILED:
        with contextlib.suppress(RuntimeError):  # no folder is writable: compile anew in every process
            kernel_cache.attach(compiled)
    return compiled


class _Compilations(event.Listener):
    """Notified of each kernel that is compiled, but not of one that is loaded from the cache.

    Meanwhile Python doesn't look for garbage: the compiler makes very many objects and little garbage, so that would
    only cost time (a fifteenth).  Events come from one thread at a time, the one with Numba's lock.
    """

    def __init__(self) -> None:
        self._collecting: list[bool] = []  # whether Python did, for each kernel being compiled: one may need another

    def on_start(self, event: NumbaObject) -> None:
        self._collecting.append(gc.isenabled())
        gc.disable()
        compilation_begins()

    def on_end(self, event: NumbaObject) -> None:
        if self._collecting.pop():
            gc.enable()


event.register("numba:compile", _Compilations())
