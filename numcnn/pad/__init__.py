"""The drawing pad: ``canvas`` keeps strokes, ``drawing`` draws, ``app`` is the window.  Only these two load pygame."""

import os

from numcnn.pad.canvas import Canvas

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or importing pygame prints an advertisement on stdout

__all__ = ["Canvas"]
