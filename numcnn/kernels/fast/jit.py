"""How Numba is used here: where compiled kernels are cached, and the one set of floating-point liberties.

Only the files in this folder load Numba, so nothing else has to wait for it.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from numcnn import kernels

# "reassoc" lets LLVM sum in vector lanes, "contract" lets it use fused multiply-add.  Not in the set: "nnan" and
# "ninf", which would let LLVM assume that NaN and infinity never occur and so swallow them.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}

# Older versions' kernels that nobody has added to for so many days are thrown away when a new version makes its folder.
KEEP_DAYS = 30


def hashed_files():
    """Return the files whose text decides what kernels are compiled to: all of this folder, and of those in it.

    More than need be: a kernel compiled anew once too often costs seconds, one that is out of date wrong numbers.
    """
    return sorted(Path(__file__).parents[1].rglob("*.py"))


def cache_tag():
    """Return what Numba's cache key omits, as eight letters: the flags, and the text of all ``hashed_files``.

    (A compiled function's key has the time stamp of its own file alone; what it takes from another file, a function or
    a constant, may have changed since: numba #6845.)
    """
    texts = [path.read_bytes() for path in hashed_files()]
    return hashlib.sha256(repr((sorted(FASTMATH), sys.version_info[:2], texts)).encode()).hexdigest()[:8]


def cache_folder():
    """Return a writable folder for compiled kernels, with ``cache_tag`` in its name; None if there is none.

    Tried in turn: the folder in NUMBA_CACHE_DIR, and only that if it is set; the user's cache folder; the system's
    temporary folder.
    """
    name = f"numba-{cache_tag()}"
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        folder = Path(chosen)
        return folder if folder.name == name else folder / name  # a parent process has chosen ours already
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    roots = [lambda: _user_cache() / "numcnn", lambda: Path(tempfile.gettempdir()) / f"numcnn-{owner}"]
    for root in roots:
        try:
            folder = root() / name
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not folder.exists():
                _throw_away_old_ones(folder.parent)
            folder.mkdir(exist_ok=True, mode=0o700)
            # The folder's files are unpickled, so one that others may write to is of no use.
            if _is_ours_alone(folder.parent) and _is_ours_alone(folder):
                with tempfile.TemporaryFile(dir=folder):
                    return folder
        except (OSError, RuntimeError):  # RuntimeError: nobody has a home here
            continue
    return None


def _throw_away_old_ones(root):
    for folder in root.glob("numba-????????"):
        if folder.stat().st_mtime < time.time() - KEEP_DAYS * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)


def _user_cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _is_ours_alone(folder):
    """Say whether nobody else may put files into ``folder``; where the system has no owners, take it so."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022 and not folder.is_symlink()


# Numba reads NUMBA_CACHE_DIR once, when it is first imported.
if "numba" not in sys.modules:
    _folder = cache_folder()
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)

import numba  # noqa: E402  (after its cache folder is set)
from numba.core import event  # noqa: E402

# NUMBA_DISABLE_JIT=1 leaves the kernels what they are as text: slow Python, for those who want to step through them.
COMPILED = not numba.config.DISABLE_JIT


def kernel(function):
    """Decorate a function to be compiled on first use, cached on disk, without the GIL and with ``FASTMATH``.

    Never ``parallel=True``: the work is shared by ``team``, which says why.
    """
    settings = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # no place that can be written to: compile anew in every process
        return numba.njit(**settings)(function)


class _Compilations(event.Listener):
    """Hears of each kernel that is compiled; loading one from the cache is no such event."""

    def on_start(self, event):
        kernels.compilation_begins()

    def on_end(self, event):
        pass


event.register("numba:compile", _Compilations())
