"""Which shapes the fused kernel for convolution, ReLU and 2x2 max-pool supports, and the algorithm for each."""

from typing import Literal, TypeAlias

Shape: TypeAlias = tuple[int, int, int, int]

# Stored in place of a window's winner, 0 to 3, when that isn't positive: ReLU cuts it off.
DEAD = 4

# Filters and channels come in multiples of this: they fill vector registers on every machine.
UNIT = 16

# Windows that Winograd's products take at a time; an image must have at least as many.
WINDOWS = 5

# Few channels: at most so many weights for a filter, KH * KW * C (those of a 3x3 kernel over three colours), which are
# kept in registers, as far as there are enough.  Many channels: at most so many in a row of the kernel, KW * C.
MOST_WEIGHTS, MOST_IN_LINE = 27, 192


def forward_way(w_shape: Shape, windows: int) -> Literal["winograd", "direct"] | None:
    """Return the forward algorithm for weights (KH, KW, C, F) and ``windows`` pooled windows in an image.

    "winograd": 16 products instead of 36 for a window's 2x2 outputs of a 3x3 kernel; "direct": all products; None: the
    fused kernel doesn't support the shape.
    """
    KH, KW, C, F = w_shape
    if F % UNIT:
        return None
    return "winograd" if (KH, KW) == (3, 3) and C % UNIT == 0 and windows >= WINDOWS else "direct"


def backward_way(w_shape: Shape) -> Literal["lists", "masks"] | None:
    """Return the backward algorithm for weights (KH, KW, C, F).

    "lists": only a window's winner is visited, many channels at once; "masks": a window's losers are multiplied by
    zero, for few channels; None: the fused kernel doesn't support the shape.
    """
    KH, KW, C, _ = w_shape
    if C % UNIT == 0 and KW * C <= MOST_IN_LINE:
        return "lists"
    return "masks" if KH * KW * C <= MOST_WEIGHTS else None
