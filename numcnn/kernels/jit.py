"""How Numba is used here: where compiled kernels are cached, and the one set of floating-point liberties.

Only ``fast*.py`` and ``vectors.py`` in this folder load Numba, so nothing else has to wait for it.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

# "reassoc" lets LLVM sum in vector lanes, "contract" lets it use fused multiply-add.  Not in the set: "nnan" and
# "ninf", which would let LLVM assume that NaN and infinity never occur and so swallow them.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def cache_folder():
    """Return a writable folder for compiled kernels, or None.

    In its name is what Numba's cache key omits: the flags, and the text of every file here.  (A compiled function's key
    has the time stamp of its own file alone; what it calls in another file may have changed since: numba #6845.)
    Tried in turn: the user's cache folder and the system's temporary folder.
    """
    # The folder's files are unpickled, so one that others may write to is of no use.
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    tag = hashlib.sha256(repr((sorted(FASTMATH), sys.version_info[:2], sources)).encode()).hexdigest()[:8]
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    roots = [lambda: _user_cache() / "numcnn", lambda: Path(tempfile.gettempdir()) / f"numcnn-{owner}"]
    for root in roots:
        try:
            folder = root() / f"numba-{tag}"
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)
            if _is_ours_alone(folder.parent) and _is_ours_alone(folder):
                with tempfile.TemporaryFile(dir=folder):
                    return folder
        except (OSError, RuntimeError):  # RuntimeError: nobody has a home here
            continue
    return None


def _user_cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _is_ours_alone(folder):
    """Say whether nobody else may put files into ``folder``; where the system has no owners, take it so."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022 and not folder.is_symlink()


# Numba reads NUMBA_CACHE_DIR once, when it is first imported; a folder the user has chosen stays chosen.
if "numba" not in sys.modules and "NUMBA_CACHE_DIR" not in os.environ:
    _folder = cache_folder()
    if _folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(_folder)

import numba  # noqa: E402  (after its cache folder is set)

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


def cache_is_empty():
    """Say whether compiling lies ahead, as far as one can tell: no kernel of ours is cached on disk."""
    folder = numba.config.CACHE_DIR
    return COMPILED and not (folder and any(Path(folder).rglob("fast.*.nbi")))
