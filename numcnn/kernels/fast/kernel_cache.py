"""Compiled kernels on disk, sealed: a damaged file is noticed and compiled anew, a full disk stops nothing.

Numba keeps two kinds of files for a kernel, an index and compiled code, and believes what it reads: an empty file, as
a power cut leaves it, ends in an exception, a flipped bit in machine code in SIGILL.  So each file ends in the SHA-256
of what is before it (in the file itself, so that one rename replaces both), and one without it is not read.

Numba has no public way to do this; its cache classes have been the same from 0.62 to 0.68.  If they change, its own
cache is used as it is.
"""

import contextlib
import hashlib
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from numba.core import caching

NumbaObject: TypeAlias = Any

SEAL_BYTES = 32  # of a SHA-256

# What is used here of Numba's private parts.
_NEEDED = {
    "Cache": ("load_overload", "save_overload"),
    "IndexDataCacheFile": ("_load_index", "_load_data", "_open_for_write"),
}

_said: set[str] = set()  # kinds of notes that this process has given


def attach(dispatcher: NumbaObject) -> None:
    """Let a compiled function be loaded from the cache and saved there.  Raises RuntimeError if there is no folder."""
    if _KNOWN:
        dispatcher._cache = SealedCache(dispatcher.py_func)
    else:
        dispatcher.enable_caching()


def is_sound(path: str | os.PathLike[str]) -> bool:
    """Return whether a file of the cache ends in the SHA-256 of what is before it.  Raises OSError."""
    content = Path(path).read_bytes()
    return len(content) > SEAL_BYTES and _seal(content[:-SEAL_BYTES]) == content[-SEAL_BYTES:]


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _say_once(kind: str, line: str) -> None:
    """Print a line on stderr (by ``logging``, so that a program can turn it off), one of each kind."""
    if kind not in _said:
        _said.add(kind)
        logging.getLogger("numcnn").warning("%s", line)


class SealedFile(caching.IndexDataCacheFile):
    """Numba's files of one function.  Pickle ignores what follows it, so Numba reads sealed files as they are."""

    def _load_index(self) -> dict[Any, str]:
        return super()._load_index() if self._is_sound(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        return super()._load_data(name) if self._is_sound(self._data_path(name)) else None

    def _is_sound(self, path: str) -> bool:
        try:
            if is_sound(path):
                return True
        except FileNotFoundError:
            return False
        except OSError:
            pass
        _say_once("damaged", f"{path} is damaged; this kernel, and others like it, are compiled again")
        return False

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[BinaryIO]:
        content = io.BytesIO()
        yield content
        with super()._open_for_write(filepath) as file:
            file.write(content.getvalue() + _seal(content.getvalue()))


class SealedCache(caching.FunctionCache):
    """Numba's cache of one function, with sealed files.  What can't be written is compiled in every process."""

    def __init__(self, function: NumbaObject) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = SealedFile(self._cache_path, self._impl.filename_base, stamp)

    def save_overload(self, signature: NumbaObject, data: NumbaObject) -> None:
        """Save what has been compiled, if the disk takes it."""
        if "unwritable" in _said:
            return  # one attempt costs little, a hundred on a full disk would add up
        try:
            super().save_overload(signature, data)
        except OSError as error:
            _say_once(
                "unwritable",
                f"compiled kernels can't be kept in {self._cache_path} ({error.strerror or error}), so each process "
                "compiles them; free some space there, or name another folder: NUMBA_CACHE_DIR",
            )


_KNOWN = all(hasattr(getattr(caching, kind, None), name) for kind, names in _NEEDED.items() for name in names)
