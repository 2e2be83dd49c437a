"""The streams of a numcnn command: a lost terminal doesn't end in a traceback."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Unfailing:
    """A text stream that drops what can't be written: the terminal is gone, the disk is full, the reader has exited.

    Messages for people go through it, so that a message that nobody reads can't end the work.  stream: None for a
    process that was started without stderr.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text if that is possible."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def stderr() -> TextIO:
    """Return sys.stderr as an ``Unfailing`` stream."""
    stream: Any = sys.stderr
    return cast(TextIO, stream if isinstance(stream, Unfailing) else Unfailing(stream))


@contextlib.contextmanager
def unfailing_stderr() -> Iterator[None]:
    """Let nothing in the block fail because its messages can't be written, nor Python when it ends after it."""
    with contextlib.redirect_stderr(stderr()):
        try:
            yield
        finally:
            drop_unwritten(sys.__stderr__)


def drop_unwritten(stream: TextIO | None) -> None:
    """Drop what a stream holds and can't write: else Python would try again when it ends, and fail with code 120."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), stream.fileno())
    except ValueError:  # the stream is closed
        pass


def open_missing_streams() -> list[str]:
    """Open /dev/null for a stdin, stdout or stderr that the process was started without, as ``2>&-`` does.

    Otherwise the next file that is opened would get its number, and what writes to "stderr" would write to that file;
    and Python has None in place of the stream.  Return the names of those that were missing.
    """
    missing: list[str] = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # gets the lowest free number
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  (stays open)
            missing.append(name)
    return missing
