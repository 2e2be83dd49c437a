"""Picture a walk through the finder's steps, for the README: ``python -m numcnn.recognition.walk PICTURE.png``.

A row of generated digits on squared paper, with a shadow across it, is read with every step explained.  The names of
the steps and the text that was read stand in the PNG as well, so that a test notices when the picture is out of date.
"""

import sys

import numpy as np

from numcnn.data import hands, pages
from numcnn.errors import NumcnnError
from numcnn.files import named_errors
from numcnn.imaging.annotate import save_small_png, sheet
from numcnn.kernels.arrays import Bytes
from numcnn.recognition.page import read

KIND, CONDITION, SEED = "row", "squared", 19
SHADOW, WHERE, SLANT = 0.55, 0.55, 0.4  # what is left of the light, from which part of the width on, columns per row
COLUMNS, SIDE = 3, 380  # of the sheet: steps in a row, and the larger side of each
COLOURS = 64  # of the PNG, which keep it small


def photographed() -> Bytes:
    """Return the row that is read, (H,W,3) uint8."""
    picture = pages.make(KIND, CONDITION, hands.Generated(), seed=SEED).picture
    rows, columns = np.indices(picture.shape[:2])
    dark = columns > WHERE * picture.shape[1] + SLANT * rows
    return np.where(dark[:, :, None], SHADOW * picture, picture).astype(np.uint8)


def walk(path: str) -> dict[str, str]:
    """Read the row and save all steps on one sheet -> what stands in the PNG as well.  Raises DataError."""
    page = read(photographed(), explain=True)
    steps = {name: step for name, step in (page.steps or {}).items() if not name.startswith("maps")}
    notes = {"steps": ", ".join(steps), "text": page.text}
    with named_errors(path, action="write"):
        save_small_png(sheet(steps, COLUMNS, SIDE), path, COLOURS, notes)
    return notes


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        print(walk(sys.argv[1]))
    except NumcnnError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
