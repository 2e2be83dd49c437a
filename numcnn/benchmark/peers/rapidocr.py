"""PP-OCR's networks in ONNX Runtime, by RapidOCR; of what it reads, the digits count."""

import logging
from importlib import metadata

import numpy as np
import rapidocr

from numcnn.benchmark.ocr import Engine, Pictures, Way, only_digits
from numcnn.kernels.arrays import Bytes


class RapidOcr(Engine):
    """Its default networks: text is found first, or the whole picture taken as one line."""

    def __init__(self, pictures: Pictures, threads: int) -> None:
        super().__init__(pictures)
        logging.disable(logging.WARNING)  # one for each picture without text
        self.engine = rapidocr.RapidOCR(params={"EngineConfig.onnxruntime.intra_op_num_threads": threads})

    def versions(self) -> dict[str, str]:
        """See ``Engine``."""
        return {name: metadata.version(name) for name in ("rapidocr", "onnxruntime")}

    def ways(self, single: bool) -> dict[str, Way]:
        """See ``Engine``."""
        return {"text found first": self._reader(use_det=True), "as one line": self._reader(use_det=False)}

    def _reader(self, use_det: bool) -> Way:
        def read(picture: Bytes) -> str:
            # It takes colours as blue, green, red.
            colours = picture[..., ::-1] if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
            found = self.engine(np.ascontiguousarray(colours), use_det=use_det, use_cls=False, use_rec=True)
            return only_digits("\n".join(found.txts or ()))

        return read
