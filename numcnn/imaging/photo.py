"""What light, lens, sensor and file format do to the picture of a sheet of paper: shadows, blur, noise, JPEG.

Pictures are (H,W,3) float32 in 0..1, red, green and blue.  Each function returns a new picture; those that draw random
numbers take the generator.  `data/pages.py` chooses how strong each effect is.
"""

import io

import numpy as np

from numcnn.kernels.arrays import Bytes, Floats

Rng = np.random.Generator

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue, as Pillow has them
BLUR_REACH = 3  # standard deviations of a Gaussian that count
COLOUR_NOISE = 0.5  # of the sensor's noise that each colour has for itself
FIBRE = 8  # pixels between the lattice's points of uneven paper


def luminance(picture: Floats) -> Floats:
    """Return how light each pixel is.  (H,W,3) -> (H,W)."""
    return picture @ LUMINANCE


def to_bytes(picture: Floats) -> Bytes:
    """Clip to 0..1 and round to 0..255.  Any shape, float -> uint8."""
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def shadow_edge(picture: Floats, depth: float, rng: Rng) -> Floats:
    """Let a shadow with a hard, straight edge fall on one side: there ``depth`` (0..1) of the light is missing."""
    across = _across(picture, rng)
    return _lit(picture, 1 - depth * _step(across - rng.uniform(0.2, 0.8) * across.max(), rng.uniform(0.5, 2)))


def slope(picture: Floats, depth: float, rng: Rng) -> Floats:
    """Let the light fall off evenly from one side to the other, where ``depth`` (0..1) of it is missing."""
    across = _across(picture, rng)
    return _lit(picture, 1 - depth * across / max(float(across.max()), 1.0))


def vignette(picture: Floats, depth: float) -> Floats:
    """Darken towards the corners, where ``depth`` (0..1) of the light is missing."""
    height, width = picture.shape[:2]
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    return _lit(picture, 1 - depth * (x * x + y * y) / 2)


def uneven_paper(picture: Floats, amount: float, rng: Rng) -> Floats:
    """Give paper its texture: smooth spots and fine fibres whose standard deviation is ``amount`` of the light."""
    height, width = picture.shape[:2]
    coarse = rng.standard_normal((height // FIBRE + 2, width // FIBRE + 2)).astype(np.float32)
    spots = _between(height, len(coarse)) @ coarse @ _between(width, coarse.shape[1]).T
    fibres = rng.standard_normal((height, width), np.float32)
    return _lit(picture, 1 + amount * (spots + 0.5 * fibres))


def blur(picture: Floats, sigma: float) -> Floats:
    """Blur by a Gaussian of ``sigma`` pixels; the picture goes on beyond its edges as it is there."""
    if sigma <= 0:
        return picture.copy()
    reach = max(1, round(BLUR_REACH * sigma))
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        size = picture.shape[axis]
        around = [(reach, reach) if k == axis else (0, 0) for k in range(picture.ndim)]
        padded = np.moveaxis(np.pad(picture, around, mode="edge"), axis, 0)
        blurred = sum(weight * padded[k : k + size] for k, weight in enumerate(weights.tolist()))
        picture = np.moveaxis(np.asarray(blurred, np.float32), 0, axis)
    return np.ascontiguousarray(picture)


def sensor_noise(picture: Floats, sigma: float, rng: Rng) -> Floats:
    """Add Gaussian noise of standard deviation ``sigma`` (0..1): partly alike in all colours, partly each its own."""
    shared = rng.standard_normal((*picture.shape[:2], 1), np.float32)
    own = rng.standard_normal(picture.shape, np.float32)
    mixed = np.sqrt(1 - COLOUR_NOISE**2) * shared + COLOUR_NOISE * own
    return np.clip(picture + sigma * mixed, 0, 1).astype(np.float32)


def jpeg(picture: Floats, quality: int) -> Floats:
    """Pack as JPEG of this quality (1..95) and unpack."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    file = io.BytesIO()
    Image.fromarray(to_bytes(picture)).save(file, "JPEG", quality=quality)
    with Image.open(file) as packed:
        return np.asarray(packed, np.float32) / 255


def large_jpeg(picture: Bytes, pixels: int, sigma: float, quality: int, rng: Rng) -> bytes:
    """Enlarge a picture (H,W) or (H,W,3) to about so many pixels and add a sensor's noise -> a JPEG file's bytes."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    small = Image.fromarray(picture).convert("RGB")
    times = (pixels / (small.width * small.height)) ** 0.5
    size = round(times * small.width), round(times * small.height)
    large = np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    file = io.BytesIO()
    Image.fromarray(to_bytes(sensor_noise(large, sigma, rng))).save(file, "JPEG", quality=quality)
    return file.getvalue()


def pencil_grain(shape: tuple[int, int], rng: Rng) -> Floats:
    """Return how well pencil takes on each spot of rough paper, 0..1, 0.5 on average.  -> (H,W)."""
    rough = blur(rng.standard_normal((*shape, 1), np.float32), 0.7)[..., 0]
    return np.clip(0.5 + 0.5 * rough / max(float(rough.std()), 1e-6), 0, 1).astype(np.float32)


def _lit(picture: Floats, light: Floats) -> Floats:
    """Multiply every colour (H,W,3) by the light (H,W)."""
    return np.clip(picture * light[..., None], 0, 1).astype(np.float32)


def _across(picture: Floats, rng: Rng) -> Floats:
    """Return how far each pixel lies in a random direction, in pixels, 0 at the first corner.  (H,W,3) -> (H,W)."""
    height, width = picture.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    return along - along.min()


def _step(distance: Floats, width: float) -> Floats:
    """Return a smooth step from 0 to 1 where ``distance`` passes 0, over about ``width`` pixels to either side."""
    return np.clip(0.5 + distance / (2 * width), 0, 1)


def _between(size: int, points: int) -> Floats:
    """Return the weights (size,points) of a lattice's points for each pixel, linear between them."""
    places = np.linspace(0, points - 1, size, dtype=np.float32)[:, None]
    return np.maximum(0, 1 - np.abs(places - np.arange(points, dtype=np.float32)))
