"""A hook for the moment when the first kernel has to be compiled.  It doesn't load Numba; ``fast.jit`` triggers it."""

import contextlib
from collections.abc import Callable, Iterator

_callbacks: list[Callable[[], object]] = []


@contextlib.contextmanager
def on_compilation(callback: Callable[[], object]) -> Iterator[None]:
    """Call ``callback()`` once, when the first kernel that isn't in the cache is compiled, in the compiling thread."""
    _callbacks.append(callback)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # it has been called
            _callbacks.remove(callback)


def compilation_begins() -> None:
    """Call the waiting callbacks, each once."""
    with contextlib.suppress(IndexError):
        while True:
            _callbacks.pop()()
