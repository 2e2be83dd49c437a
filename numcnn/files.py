"""Write files so that a reader sees the old one or the whole new one, never a half-written one."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path):
    """Give a binary file to write to; move it to ``path`` when the block ends, or leave nothing when it raises.

    The temporary file lies in the same folder (a rename doesn't cross file systems) and is flushed to the disk first.
    A symbolic link stays one: the file that it names is written.  A device or a pipe is written to as it is.
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
            raise _about(error, path) from error
        raise
    _sync_folder(target.parent)


def check_writable(path):
    """Raise the OSError that ``atomic_write`` would, as far as it can be known beforehand; write nothing."""
    path = Path(path)
    if path.is_dir() or (_is_stream(path) and not os.access(path, os.W_OK)):
        number = errno.EISDIR if path.is_dir() else errno.EACCES
        raise OSError(number, os.strerror(number), str(path))
    if not _is_stream(path):
        try:
            descriptor, temporary = _temporary_beside(Path(os.path.realpath(path)))
        except OSError as error:
            raise _about(error, path) from error
        os.close(descriptor)
        os.unlink(temporary)


def _is_stream(path):
    """Say whether there is something that a rename would destroy: a device, a pipe, but no file and no folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _temporary_beside(path):
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")


def _about(error, path):
    """Return the error with the name that people know, not the temporary one."""
    return type(error)(error.errno, error.strerror or str(error), str(path))


def _sync_folder(folder):
    """Make the rename itself last through a power cut; not every system can open a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
