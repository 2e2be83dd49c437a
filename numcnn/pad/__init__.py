"""The drawing pad: ``canvas`` keeps strokes, ``view`` draws, ``app`` is the window.  Only the last two load pygame."""

import os

from numcnn.pad.canvas import Canvas

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or importing pygame prints an advertisement on stdout

__all__ = ["Canvas"]
