"""Write files so that a reader sees the old one or the whole new one, never a half-written one; name what fails."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from numcnn.errors import DataError, NumcnnError

CHECK_SPACE = "check the folder and the space left"


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
    """Return a path with ~ replaced by the user's folder.  Raises DataError for ~name of a user that there isn't."""
    try:
        return Path(path).expanduser()
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
        descriptor, temporary = _temporary_beside(target)
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
            descriptor, temporary = _temporary_beside(Path(os.path.realpath(path)))
        except OSError as error:
            raise _with_path(error, path) from error
        os.close(descriptor)
        os.unlink(temporary)


def _is_stream(path: Path) -> bool:
    """Say whether a rename would destroy something that is neither a file nor a folder: a device, a pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _temporary_beside(path: Path) -> tuple[int, str]:
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")


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
