"""Waiting awake: for some microseconds a thread that will soon have work again looks for it instead of going to sleep.

To fall asleep and be woken takes about as long as a small kernel, several times in a training step.  Whoever finds
nothing in that time sleeps after all, so an idle team costs nothing.
"""

import numba
from numba.core import types
from numba.extending import intrinsic

from numcnn.kernels.jit import kernel

# Looks at the counter before going to sleep: some 100 microseconds.
LOOKS = 100_000


@intrinsic
def _look(typing_context, counter):
    """Return counter[0] as it is in memory now: a plain read in a loop LLVM would do once, before the loop."""

    def code(context, builder, signature, values):
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.load_atomic(data, ordering="acquire", align=8)

    return types.int64(counter), code


@kernel
def _wait(counter, value, looks):
    left = looks
    while left > 0 and _look(counter) == value:
        left -= 1


def wait(counter, value):
    """Return as soon as counter (1,) int64 is no longer ``value``, or after a while.  Others may compute meanwhile."""
    if not numba.config.DISABLE_JIT:
        _wait(counter, value, LOOKS)
