"""OpenVINO on the CPU."""

from collections.abc import Sequence

import numpy as np
import onnx
import openvino

from numcnn.benchmark.contestants import Call
from numcnn.benchmark.peers.onnx_model import OnnxInference
from numcnn.benchmark.workload import INFERENCE_BATCH, Workload
from numcnn.kernels.arrays import Floats


class OpenVinoInference(OnnxInference):
    """The CPU plug-in in float32 with fixed shapes: one stream (LATENCY), for batches also several side by side.

    One image is also run on one thread.
    """

    def __init__(self, workload: Workload, threads: int) -> None:
        super().__init__(workload)
        latency = {"PERFORMANCE_HINT": "LATENCY"}
        throughput = {"PERFORMANCE_HINT": "THROUGHPUT"}
        self.variants = {
            "batch": {"LATENCY": self._caller(INFERENCE_BATCH, latency, threads, self.batches)},
            "single": {
                "LATENCY": self._caller(1, latency, threads, self.singles),
                "LATENCY on one thread": self._caller(1, latency, 1, self.singles),
            },
        }
        if INFERENCE_BATCH % threads == 0:
            self.side_by_side = self._requests(INFERENCE_BATCH // threads, throughput, threads, threads)
            self.parts = [np.split(x, threads) for x in self.batches]
            self.variants["batch"]["THROUGHPUT"] = self._in_parts

    def _requests(self, images: int, hint: dict[str, str], threads: int, count: int) -> list[openvino.InferRequest]:
        core = openvino.Core()
        model = core.read_model(self.model)
        model.reshape([images, 1, 28, 28])
        exact = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(model, "CPU", {**hint, **exact})
        return [compiled.create_infer_request() for _ in range(count)]

    def _caller(self, images: int, hint: dict[str, str], threads: int, inputs: Sequence[Floats]) -> Call:
        (request,) = self._requests(images, hint, threads, 1)
        return lambda i: request.infer({0: inputs[i % len(inputs)]}, share_inputs=True, share_outputs=True)[0]

    def _in_parts(self, i: int) -> list[Floats]:
        for request, part in zip(self.side_by_side, self.parts[i % len(self.parts)], strict=True):
            request.start_async({0: part}, share_inputs=True)
        for request in self.side_by_side:
            request.wait()
        return [request.get_output_tensor(0).data for request in self.side_by_side]

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return {"openvino": openvino.__version__.split("-")[0], "onnx": onnx.__version__}
