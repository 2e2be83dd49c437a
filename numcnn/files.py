"""Write files so that a reader sees the old one or the whole new one, never a half-written one; name what fails."""

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

from numcnn.errors import DataError, NumcnnError

CHECK_SPACE = "check the folder and the space left"

LOCK = ".lock"  # the file that is locked where a folder itself can't be
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")  # what ``atomic_write`` writes to, until it is whole


@contextlib.contextmanager
def named_errors(
    path: str | os.PathLike[str],
    advice: str = CHECK_SPACE,
    *,
    action: str = "use",
    error_class: type[NumcnnError] = DataError,
) -> Iterator[None]:
    """Turn an OSError of the block into an ``error_class``: "cannot <action> <path>: <reason>; <advice>"."""
    try:
        yield
    except OSError as error:
        raise error_class(f"cannot {action} {path}: {error.strerror or error}; {advice}") from error


def check_regular(path: str | os.PathLike[str], advice: str) -> None:
    """Raise DataError for a pipe or a device, which may never end; opening will tell of what isn't there."""
    with named_errors(path, advice, action="read"):
        if _is_stream(Path(path)):
            raise DataError(f"{path} is no regular file; {advice}")


def read_at_most(path: str | os.PathLike[str], most: int, advice: str) -> bytes:
    """Return the content of a regular file.

    Raises DataError for one of more than ``most`` bytes, for a pipe or a device, and where the system refuses.
    """
    check_regular(path, advice)
    with named_errors(path, advice, action="read"), open(path, "rb") as file:
        content = file.read(most + 1)
    check_length(path, content, most, advice)
    return content


def check_length(path: str | os.PathLike[str], content: bytes, most: int, advice: str) -> None:
    """Raise DataError if a file's first ``most`` + 1 bytes are not all ``most`` or fewer."""
    if len(content) > most:
        raise DataError(f"{path} has more than {most:,} bytes, the most that are read; {advice}")


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with ~ replaced by the user's folder.  Raises DataError for ~name of nobody, and for no path."""
    try:
        return Path(path).expanduser()
    except TypeError:
        raise DataError(f"{path!r} is no path; name a file or a folder") from None
    except RuntimeError as error:
        raise DataError(f"{path} can't be found: {error}; name a folder") from error


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a binary file to write to; move it to ``path`` when the block ends, or leave nothing when it raises.

    The temporary file is in the same folder (a rename doesn't cross file systems) and is flushed to the disk first.
    A symbolic link stays one: the file that it names is written.  A device or a pipe is written to directly.
    Raises OSError with ``path``, not with the name of the temporary file.
    """
    path = Path(path)
    temporary = None
    try:
        if _is_stream(path):
            with open(path, "wb") as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the file from everybody else
        os.replace(temporary, target)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise _with_path(error, path) from error
        raise
    _sync_folder(target.parent)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise the OSError that ``atomic_write`` would, as far as that is known beforehand; write nothing."""
    path = Path(path)
    if path.is_dir() or (_is_stream(path) and not os.access(path, os.W_OK)):
        number = errno.EISDIR if path.is_dir() else errno.EACCES
        raise OSError(number, os.strerror(number), str(path))
    if not _is_stream(path):
        try:
            _check_new_file(Path(os.path.realpath(path)).parent)
        except OSError as error:
            raise _with_path(error, path) from error


def check_folder_writable(folder: Path) -> None:
    """Raise the OSError that a new file in a folder would, or in the nearest above it that exists.  Leave no file."""
    _check_new_file(next(place for place in (folder, *folder.absolute().parents) if place.exists()))


def _check_new_file(folder: Path) -> None:
    """Raise the OSError that a new file in a folder would; checking permissions isn't enough."""
    try:  # with a file that has no name, where the system knows such: a kill here leaves nothing
        tempfile.TemporaryFile(dir=folder, prefix=".numcnn.", suffix=".tmp").close()
    except OSError as error:
        raise _with_path(error, folder) from error


def _is_stream(path: Path) -> bool:
    """Say whether a rename would destroy something that is neither a file nor a folder: a device, a pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _with_path(error: OSError, path: Path) -> OSError:
    """Return the error with the path that the user knows instead of the temporary one."""
    return type(error)(error.errno, error.strerror or str(error), str(path))


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; not every system can open a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Return whether a file holds no one's results: a lock's, or what a process that was killed left of a write."""
    return path.name == LOCK or TEMPORARY.fullmatch(path.name) is not None


def sweep(folder: str | os.PathLike[str], least_age: float = 0.0) -> None:
    """Delete temporary files of ``atomic_write`` that are this old (s) or older.

    Without an age, only when no other process can be writing there: the caller holds the folder's ``FolderLock``.
    """
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            if TEMPORARY.fullmatch(path.name) and path.is_file() and time.time() - path.stat().st_mtime >= least_age:
                path.unlink()


class FolderLock:
    """Keeps other processes out of a folder, as long as they ask; it ends with its process, however that ends.

    The folder itself is locked, so that nothing can stay behind, and the lock goes along when the folder is moved.
    Where the system can't lock folders (Windows, some network drives), the file ``.lock`` in it is.
    Raises BlockingIOError if another process, or another lock of this one, holds the folder; OSError if there is none.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._descriptor = -1
        self._place = Path(folder)
        if fcntl is not None:
            try:
                self._lock(os.O_RDONLY)
                return
            except BlockingIOError:
                raise
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG):
                    raise
        self._place /= LOCK
        self._lock(os.O_RDWR | os.O_CREAT)

    def _lock(self, flags: int) -> None:
        descriptor = os.open(self._place, flags, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                try:
                    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
                except OSError as error:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(self._place)) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        if not self.holds():  # whoever held the file has just deleted it
            os.close(descriptor)
            self._descriptor = -1
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(self._place))

    def holds(self) -> bool:
        """Return whether the locked folder is still there, under its name: not deleted, moved or replaced."""
        try:
            return self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), os.stat(self._place))
        except OSError:
            return False

    def release(self) -> None:
        """Let others in."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if fcntl is not None:
            self._remove_file()
        os.close(descriptor)
        if fcntl is None:
            self._remove_file()  # Windows deletes no open file

    def _remove_file(self) -> None:
        if self._place.name == LOCK:
            with contextlib.suppress(OSError):
                self._place.unlink()

    def __del__(self) -> None:
        self.release()
