"""Ctrl-C while modules are loaded: a numcnn command ends with one line, not in a traceback.

The first module of numcnn that is loaded; so it loads nothing that takes long itself, such as pathlib or typing.
"""

import os
import signal
import sys
from types import FrameType

EXIT_INTERRUPTED = 130


def is_command() -> bool:
    """Return whether this process runs ``numcnn``, ``python -m numcnn`` or one of the checkout's scripts."""
    folder, program = os.path.split(sys.argv[0] if sys.argv else "")
    scripts = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts")
    # While Python looks for the module, argv is ["-m", its arguments ...].
    as_module = program == "-m" and sys.orig_argv[-len(sys.argv)] in ("numcnn", "-mnumcnn")
    return os.path.splitext(program)[0] == "numcnn" or as_module or os.path.abspath(folder) == scripts


def leave_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, with one line, while its modules are still being loaded.

    Until then nothing has to be cleaned up.  A KeyboardInterrupt would end in a traceback, or be lost in an import.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _leave)
        except ValueError:  # another thread than the main one imports numcnn
            return


def interrupt_as_usual() -> None:
    """Undo ``leave_on_interrupt``: from now on Ctrl-C raises KeyboardInterrupt, and ``raise_if_lost`` knows of it."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, _interrupt)


def raise_if_lost() -> None:
    """Raise KeyboardInterrupt if one was lost, as in an import or a finalizer: what was interrupted must not say 0."""
    if _interrupted:
        raise KeyboardInterrupt


_interrupted = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    signal.default_int_handler(number, frame)


def _leave(number: int, frame: object) -> None:
    try:
        os.write(2, b"numcnn: interrupted\n")
    finally:
        os._exit(EXIT_INTERRUPTED)
