"""Whether the network answers steadily: a digit stays one when it is turned, slanted or stretched a little.

What it takes for a digit though it is none often loses that with a turn.  So it is asked again where a picture's only
find leaves doubts.
"""

import numpy as np

from numcnn.evaluation.calibration import certainty
from numcnn.imaging.corruptions import affine
from numcnn.recognition.spots import Judge, Spot

TURNS, SLANTS, SIZES, STRETCHES = (-14, -7, 7, 14), (-0.25, 0.25), (0.87, 1.15), (0.8, 1.25)  # degrees; shares
# A spot is looked at again below the first certainty, and goes if its mean over all views is below the second; and if
# that is below the third, however certain.
DOUBTED, UNSTEADY, VERY_UNSTEADY = 0.34, 0.2, 0.15
LOOKED_AT = 0.55  # certainty from which a spot is not asked about again


def is_steady(spot: Spot, judge: Judge) -> bool:
    """Return whether the network's answer holds in most views of an unsure spot; a sure one is steady."""
    if spot.certainty >= LOOKED_AT:
        return True
    mean = steadiness(spot, judge)
    return mean >= (UNSTEADY if spot.certainty < DOUBTED else VERY_UNSTEADY)


def steadiness(spot: Spot, judge: Judge) -> float:
    """Return the mean certainty of a spot's answer over all views of it, 0..1; another answer counts as 0."""
    views = affine(np.repeat(spot.image[None], len(_MATRICES), axis=0), _MATRICES)
    probabilities = judge(views)
    same = probabilities.argmax(axis=1) == spot.probabilities.argmax()
    return float((certainty(probabilities) * same).mean())


def _matrices() -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return what makes each view: the place in the image, (row, column), from that in the view."""
    turns = [((np.cos(a), -np.sin(a)), (np.sin(a), np.cos(a))) for a in np.deg2rad(TURNS).tolist()]
    slants = [((1.0, 0.0), (slant, 1.0)) for slant in SLANTS]
    sizes = [((size, 0.0), (0.0, size)) for size in SIZES]
    return turns + slants + sizes + [((1.0, 0.0), (0.0, stretch)) for stretch in STRETCHES]


_MATRICES = np.array(_matrices())
