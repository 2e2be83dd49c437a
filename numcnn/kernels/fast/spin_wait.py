"""Spin before sleeping: a thread that will soon have work again polls for it for some microseconds.

To fall asleep and be woken takes about as long as a small kernel, several times in a training step.  Python's global
lock (GIL) puts threads to sleep too, if they find it taken.  So a thread reports that it is finished after it has
released the GIL, and one that is given work lingers until the giver has had time to release it.  A thread that finds
nothing in that time goes to sleep: an idle team costs nothing.
"""

from numcnn.kernels.arrays import Ints
from numcnn.kernels.fast.jit import Emit, NumbaObject, kernel, numba  # before Numba itself, whose cache folder it sets

# isort: split
import numpy as np
from numba.core import types

# How often a thread polls before it sleeps, some 100 microseconds, and while it lingers, some 20: until the giver has
# come to its first kernel and released the GIL.
POLLS, LINGER = 300_000, 60_000


@numba.extending.intrinsic
def _read(typing_context: NumbaObject, counter: NumbaObject) -> tuple[NumbaObject, Emit]:
    """Return counter[0] as it is in memory now: LLVM would hoist a plain read out of the loop."""

    def code(context: NumbaObject, builder: NumbaObject, signature: NumbaObject, values: NumbaObject) -> NumbaObject:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load_atomic(data, ordering="acquire", align=8)

    return types.int64(counter), code


@numba.extending.intrinsic
def _add(typing_context: NumbaObject, counter: NumbaObject, number: NumbaObject) -> tuple[NumbaObject, Emit]:
    """Add to counter[0] (int64), atomically."""

    def code(context: NumbaObject, builder: NumbaObject, signature: NumbaObject, values: NumbaObject) -> NumbaObject:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.atomic_rmw("add", data, values[1], ordering="acq_rel")

    return types.int64(counter, types.int64), code


@kernel
def _wait(counter: Ints, wanted: int, polls: int, linger: int) -> None:
    left = polls
    while left > 0 and _read(counter) < wanted:
        left -= 1
    if left > 0:
        left = linger
        while left > 0 and _read(counter) >= wanted:
            left -= 1


@kernel
def _report_and_wait(finished: Ints, number: int, given: Ints, wanted: int, polls: int, linger: int) -> None:
    _add(finished, number)
    _wait(given, wanted, polls, linger)


def prepare() -> None:
    """Compile the functions here."""
    counters = np.zeros((2, 1), np.int64)
    wait_for_others(counters[0], 0)
    wait_for_work(counters[0], 1, counters[1], 0)


def wait_for_work(finished: Ints, number: int, given: Ints, wanted: int) -> None:
    """Add ``number`` to finished[0], then wait until given[0] is ``wanted``, or for about 100 microseconds.

    Both counters are (1,) int64.
    """
    _report_and_wait(finished, number, given, wanted, POLLS, LINGER)


def wait_for_others(finished: Ints, wanted: int) -> None:
    """Wait until finished[0] is ``wanted``, or for about 100 microseconds."""
    _wait(finished, wanted, POLLS, 0)
