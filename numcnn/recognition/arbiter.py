"""The arbiter between one digit and several: what it is worth to read some ink as one digit.

Whether strokes of the pad or pieces of a picture are joined, and whether a piece is cut, is decided by the same sum:
the ways to part the ink into digits compete, and the digits of the best way are worth most together.
"""

import numpy as np

from numcnn.evaluation.calibration import certainty
from numcnn.kernels.arrays import Floats

TRUST = 3.0  # times the log probability: parts and pairs of digits look like some digit at 90% more often than at 1%
WIDE, WIDE_COST = 0.9, 1.0  # heights: wider ink is rather two digits, by this much for each height


def worth(probabilities: Floats, widths: Floats) -> Floats:
    """Return what it is worth to read each of N pictures of ink as one digit, 0 at best -> (N,).

    probabilities (N,10): the network's.  widths (N,): of the ink, in its heights.
    """
    highest = np.maximum(probabilities.max(axis=1), 1e-9)
    return (TRUST * np.log(highest) - WIDE_COST * np.maximum(0, widths - WIDE)).astype(np.float32)


# Worth of what may be cut: a digit of this certainty or more costs nothing, or else one digit would mostly beat two.
CERTAIN, CERTAIN_TRUST = 0.75, 2.0


def worth_apart(probabilities: Floats, widths: Floats) -> Floats:
    """Return what it is worth to read each of N pictures of ink that may be cut elsewhere as one digit -> (N,).

    As `worth`, but by the network's certainty, which is 0.7 to 0.8 for most digits: what a wrong cut leaves often has a
    high probability, but seldom that certainty.
    """
    found = np.maximum(certainty(probabilities), 1e-9) / CERTAIN
    trusted = CERTAIN_TRUST * np.log(np.minimum(1, found))
    return (trusted - WIDE_COST * np.maximum(0, widths - WIDE)).astype(np.float32)
