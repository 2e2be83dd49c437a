"""The slips that make digit demos disappoint: a digit off-centre, too small, inverted, pale, too bold or too fine.

Each function takes one of MNIST's pictures and returns the picture that somebody might hand in instead.  All go through
``preprocess``, which is there to undo them; ``losses`` measures what they still cost.
"""

import numpy as np

from numcnn.imaging import preprocess

ROOM = 3  # sides of the digit's picture that a larger sheet has
FINER = 4  # pens are changed in an enlarged picture
PALE = 0.25  # share of the contrast that is left


def _image(picture):
    from PIL import Image

    return Image.fromarray(picture)


def resized(picture, factor):
    """Scale a picture (H,W) uint8 by ``factor``, on a sheet with room around it -> (h,w) uint8."""
    from PIL import Image

    size = [max(1, round(side * factor)) for side in picture.shape]
    small = np.asarray(_image(picture).resize(size[::-1], Image.Resampling.BICUBIC))
    return np.pad(small, max(size) // 2)


def moved(picture, rng):
    """Lay a picture (H,W) uint8 anywhere on a larger sheet -> (3H,3W) uint8."""
    sheet = np.zeros([ROOM * side for side in picture.shape], np.uint8)
    top, left = (rng.integers(0, (ROOM - 1) * side + 1) for side in picture.shape)
    sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def with_pen(picture, pixels):
    """Make the pen ``pixels`` broader (above 0) or finer: a picture (H,W) uint8 -> (4H,4W) uint8, enlarged."""
    from PIL import Image, ImageFilter

    large = _image(np.pad(picture, 2)).resize(
        [FINER * (side + 4) for side in picture.shape[::-1]], Image.Resampling.BICUBIC
    )
    reach = 1 + 2 * round(abs(pixels) / 2 * FINER)
    return np.asarray(large.filter(ImageFilter.MaxFilter(reach) if pixels > 0 else ImageFilter.MinFilter(reach)))


SLIPS = {
    "anywhere on the sheet": moved,
    "14 pixels high": lambda picture, rng: resized(picture, 0.7),
    "28 pixels high": lambda picture, rng: resized(picture, 1.4),
    "100 pixels high": lambda picture, rng: resized(picture, 5),
    "dark on light": lambda picture, rng: 255 - picture,
    "a quarter of the contrast": lambda picture, rng: (60 + PALE * picture).astype(np.uint8),
    "pen 2 pixels broader": lambda picture, rng: with_pen(picture, 2),
    "pen 1 pixel broader": lambda picture, rng: with_pen(picture, 1),
    "pen 1 pixel finer": lambda picture, rng: with_pen(picture, -1),
}


def slipped(images, name, seed=0):
    """Let pictures (N,28,28) uint8 slip, and prepare what somebody then hands in -> (N,28,28) uint8."""
    out = np.empty_like(images)
    for i, picture in enumerate(images):
        out[i] = preprocess.prepare(SLIPS[name](picture, np.random.default_rng([seed, i])))
    return out


def losses(network, images, labels, seed=0):
    """Return the accuracy (0..1) of pictures (N,28,28) uint8, prepared, and a dict: slip -> percentage points lost."""
    plain = np.array([preprocess.prepare(picture) for picture in images])
    accuracy = network.evaluate(plain, labels).accuracy
    lost = {name: 100 * (accuracy - network.evaluate(slipped(images, name, seed), labels).accuracy) for name in SLIPS}
    return accuracy, lost
