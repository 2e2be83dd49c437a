"""Write files so that a reader sees the old one or the whole new one, never a half-written one."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path):
    """Give a binary file to write to; move it to ``path`` when the block ends, or leave nothing when it raises.

    The temporary file lies in the same folder (a rename doesn't cross file systems) and is flushed to the disk first.
    """
    path = Path(path)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise _about(error, path) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide the file from everybody else
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _about(error, path) from error
        raise
    _sync_folder(path.parent)


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
