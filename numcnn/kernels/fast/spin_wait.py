"""Waiting awake: for some microseconds a thread that will soon have work again looks for it instead of going to sleep.

To fall asleep and be woken takes about as long as a small kernel, several times in a training step.  Python's global
lock puts threads to sleep too, if they find it taken.  So a thread tells that it is done when it has let go of the lock
already, and one that is given work lingers until the giver has had time to let go of it.  Whoever finds nothing in that
time sleeps after all: an idle team costs nothing.
"""

from numcnn.kernels.fast.jit import kernel  # before Numba itself, which asks once where to keep what it compiles

# isort: split
import numpy as np
from numba.core import types
from numba.extending import intrinsic

# Looks at a counter before going to sleep, some 100 microseconds, and those spent lingering, some 20: until the giver
# has come to its first kernel and let go of the lock.
LOOKS, LINGER = 300_000, 60_000


@intrinsic
def _look(typing_context, counter):
    """Return counter[0] as it is in memory now: a plain read in a loop LLVM would do once, before the loop."""

    def code(context, builder, signature, values):
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load_atomic(data, ordering="acquire", align=8)

    return types.int64(counter), code


@intrinsic
def _add(typing_context, counter, number):
    """Add to counter[0] (int64), in one step that no other thread comes between."""

    def code(context, builder, signature, values):
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.atomic_rmw("add", data, values[1], ordering="acq_rel")

    return types.int64(counter, types.int64), code


@kernel
def _wait(counter, wanted, looks, linger):
    left = looks
    while left > 0 and _look(counter) < wanted:
        left -= 1
    if left > 0:
        left = linger
        while left > 0 and _look(counter) >= wanted:
            left -= 1


@kernel
def _tell_and_wait(finished, number, given, wanted, looks, linger):
    _add(finished, number)
    _wait(given, wanted, looks, linger)


def prepare():
    """Have the functions here compiled."""
    counters = np.zeros((2, 1), np.int64)
    wait_for_others(counters[0], 0)
    wait_for_work(counters[0], 1, counters[1], 0)


def wait_for_work(finished, number, given, wanted):
    """Add ``number`` to finished[0], and return soon after given[0] has come to ``wanted``, or after a while.

    Both counters are (1,) int64.
    """
    _tell_and_wait(finished, number, given, wanted, LOOKS, LINGER)


def wait_for_others(finished, wanted):
    """Return as soon as finished[0] has come to ``wanted``, or after a while."""
    _wait(finished, wanted, LOOKS, 0)
