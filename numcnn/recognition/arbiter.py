"""The arbiter between one digit and several: what it is worth to read some ink as one digit.

Whether strokes of the pad or pieces of a picture are joined, and whether a piece is cut, is decided by the same sum:
the ways to part the ink into digits compete, and the digits of the best way are worth most together.
"""

import numpy as np

from numcnn.kernels.arrays import Floats

TRUST = 3.0  # times the log probability: parts and pairs of digits look like some digit at 90% more often than at 1%
WIDE, WIDE_COST = 0.9, 1.0  # heights: wider ink is rather two digits, by this much for each height


def worth(probabilities: Floats, widths: Floats) -> Floats:
    """Return what it is worth to read each of N pictures of ink as one digit, 0 at best -> (N,).

    probabilities (N,10): the network's.  widths (N,): of the ink, in its heights.
    """
    highest = np.maximum(probabilities.max(axis=1), 1e-9)
    return (TRUST * np.log(highest) - WIDE_COST * np.maximum(0, widths - WIDE)).astype(np.float32)
