"""The streams and the Ctrl-C of a numcnn command: neither a lost terminal nor an early Ctrl-C ends in a traceback."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

EXIT_INTERRUPTED = 130


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
    """Let nothing in the block fail because its messages can't be written."""
    with contextlib.redirect_stderr(stderr()):
        yield


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


def is_command() -> bool:
    """Return whether this process runs ``numcnn``, ``python -m numcnn`` or one of the checkout's scripts."""
    program = Path(sys.argv[0] if sys.argv else "")
    scripts = Path(__file__).parents[1] / "scripts"
    # While Python looks for the module, argv is ["-m", its arguments ...].
    as_module = program.name == "-m" and sys.orig_argv[-len(sys.argv)] in ("numcnn", "-mnumcnn")
    return program.stem == "numcnn" or as_module or program.parent.absolute() == scripts


def leave_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, with one line, while its modules are still being loaded.

    Until then nothing has to be cleaned up.  A KeyboardInterrupt would end in a traceback, or be lost in an import.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def interrupt_as_usual() -> None:
    """Undo ``leave_on_interrupt``: from now on Ctrl-C raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"numcnn: interrupted\n")
    os._exit(EXIT_INTERRUPTED)
