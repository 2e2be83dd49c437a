"""Augmentation: training pictures change a little each time they are used, as if another person had written them.

The pen's width changes first.  Then the picture is resampled, once, through an affine map and an elastic distortion.
Contrast and disturbances come last: light on the paper, noise, a patch that is cut out or inverted, each on every other
picture.  This file defines how strong the changes are and how they are drawn; the arithmetic is in
``kernels/reference_augment.py``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Bytes, Ints
from numcnn.kernels.reference_augment import change


@dataclass(frozen=True)
class Augmentation:
    """How strongly pictures are changed; each change is drawn uniformly from 0 to that much, in either direction.

    rotation: degrees.  scale, stretch (higher or wider), shear: fractions.  shift, elastic (root mean square of each
    pixel's displacement), thicken, thin (of the pen, on each side): pixels.  contrast: fraction of the grey range.
    For every other picture: light (a smooth field), noise (the most a pixel may be off; most are off far less):
    fractions of the grey range; cutout (side of a square that becomes its negative or, half as large, paper): pixels.
    Raises ConfigError for values out of range.
    """

    rotation: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    thicken: float = 0.0
    thin: float = 0.0
    contrast: float = 0.0
    light: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        most = {"rotation": 180, "scale": 0.9, "stretch": 0.9, "shear": 2, "thicken": 2, "thin": 1}
        most |= {"contrast": 1, "light": 1, "noise": 1}
        for field in dataclasses.fields(self):
            value, limit = getattr(self, field.name), most.get(field.name, 28)
            if not 0 <= value <= limit:
                raise ConfigError(f"augmentation: {field.name} is {value}; wants a number from 0 to {limit}")

    def times(self, strength: float) -> Augmentation:
        """Return the augmentation with every change multiplied by ``strength``; ConfigError when one is too strong."""
        return Augmentation(**{name: value * strength for name, value in dataclasses.asdict(self).items()})

    def plus(self, other: Augmentation) -> Augmentation:
        """Return an augmentation with the changes of both."""
        mine, others = dataclasses.asdict(self), dataclasses.asdict(other)
        return Augmentation(**{name: value + others[name] for name, value in mine.items()})


# Strength 1: the most that still looks like handwriting.  How much of it to use was tuned on validation data.
FULL = Augmentation(
    rotation=12, scale=0.12, stretch=0.1, shear=0.15, shift=1.5, elastic=1, thicken=0.7, thin=0.4, contrast=0.2
)
# Disturbances between paper and picture, at strength 1.
DISTURBED = Augmentation(light=0.7, noise=0.6, cutout=12)
EVERYTHING = FULL.plus(DISTURBED)


def make_key(seed: int) -> np.uint64:
    """Return a key for ``random_numbers``: 64 bits without a pattern, odd, as the generator requires."""
    return np.random.SeedSequence([seed, 4]).generate_state(1, np.uint64)[0] | np.uint64(1)


class Changes:
    """How the pictures of an epoch are changed: reproducibly for each picture, and differently in every epoch."""

    def __init__(self, augmentation: Augmentation, seed: int, epoch: int) -> None:
        self.augmentation, self.key, self._epoch = augmentation, make_key(seed), epoch

    def numbers(self, rows: npt.ArrayLike, images: int) -> Ints:
        """Return the number that decides each picture's changes, for ``rows`` (n,) of ``images`` pictures."""
        return np.asarray(rows, np.int64) + self._epoch * images


def growing(image: Bytes, name: str | None, steps: int, number: int = 0) -> Bytes:
    """Return one picture (H,W) under one change of ``EVERYTHING`` at rising strength; under all if ``name`` is None.

    -> (steps, H, W), from no change to full strength, always in the same direction.
    """
    whole = EVERYTHING if name is None else Augmentation(**{name: getattr(EVERYTHING, name)})
    strengths = np.linspace(0, 1, steps)
    pictures = [change(image, number, make_key(0), whole.times(strength)) for strength in strengths]
    return np.rint(np.array(pictures)).astype(np.uint8)
