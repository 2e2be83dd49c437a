"""What the tests of the pad's window share: a small network, posted events, and looks at the screen."""

import contextlib

import numpy as np
import pygame
from PIL import Image
from processes import wait_for

from numcnn import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU
from numcnn.pad import app

SIZE = (900, 600)
SIZES = [(500, 350), (700, 900), (1300, 420), (1600, 1000), (3840, 2160)]  # every panel is drawn in windows of these
SEVEN = [[(150, 120), (300, 115), (220, 400)]]


def small(classes=10, seed=0):
    """Return a small network that hasn't learned anything."""
    layers = [Conv2D(4, 3), ReLU(), MaxPool2D(4), Flatten(), Dense(12), ReLU(), Dense(classes)]
    return Network(layers, backend="reference", seed=seed)


@contextlib.contextmanager
def opened_pads():
    """Give a function that opens a pad; close all that it has opened."""
    pads = []

    def opened(size=SIZE, network=None, **settings):
        pads.append(app.Pad(network or small(), size, **settings))
        assert pads[-1].step()
        return pads[-1]

    yield opened
    for pad in pads:
        pad.close()


def mouse(kind, position, button=1, **more):
    """Post a mouse event."""
    extra = {"rel": (0, 0), "buttons": (1, 0, 0)} if kind == pygame.MOUSEMOTION else {"button": button}
    pygame.event.post(pygame.event.Event(kind, pos=position, **extra, **more))


def press(pad, *keys, mod=0, unicode=""):
    """Press keys, a frame for each."""
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod, unicode=unicode))
        assert pad.step()


def drag(pad, *positions, button=1, **more):
    """Draw a stroke with the left button, or erase with another one, a frame for every event."""
    for kind, position in (
        (pygame.MOUSEBUTTONDOWN, positions[0]),
        *((pygame.MOUSEMOTION, position) for position in positions[1:]),
        (pygame.MOUSEBUTTONUP, positions[-1]),
    ):
        mouse(kind, position, button, **more)
        assert pad.step()


def words(pad):
    """Return what the message in the window says."""
    return pad.scene.toast.words if pad.scene.toast else ""


def click(pad, rect):
    """Click into the middle of a Rect."""
    drag(pad, rect.center)


def frame(pad):
    """Let the pad show what has changed, without waiting for an event: it gets one that means nothing."""
    pygame.event.post(pygame.event.Event(pygame.USEREVENT))
    return pad.step()


def settle(pad):
    """Let time pass until nothing moves and no task is running."""
    wait_for(lambda: frame(pad) and not pad.moving and not pad.tasks.busy, "the pad to come to rest")


def region(surface, rect):
    """Return a copy of a part of a surface as (width, height, 3)."""
    return pygame.surfarray.array3d(surface.subsurface(rect))


def picture_region(path, rect):
    """Return a part of a picture file as (width, height, 3)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB").crop((*rect.topleft, *rect.bottomright))).transpose(1, 0, 2)


def count(pixels, color):
    """Return how many pixels have exactly this color."""
    return int((pixels == pygame.Color(color)[:3]).all(axis=-1).sum())
