"""ONNX Runtime on the CPU."""

from collections.abc import Sequence

import onnx
import onnxruntime

from numcnn.benchmark.contestants import Call
from numcnn.benchmark.peers.onnx_model import OnnxInference
from numcnn.benchmark.workload import Workload
from numcnn.kernels.arrays import Floats


class OnnxRuntimeInference(OnnxInference):
    """The CPU provider, all graph optimisations, arrays in, arrays out.

    One image is also run on one thread, and with input and output bound beforehand.
    """

    def __init__(self, workload: Workload, threads: int) -> None:
        super().__init__(workload)
        session, alone = self._session(threads), self._session(1)
        binding = alone.io_binding()
        binding.bind_output("logits")

        def bound(i: int) -> Floats:
            binding.bind_cpu_input("x", self.singles[i % len(self.singles)])
            alone.run_with_iobinding(binding)
            return binding.get_outputs()[0].numpy()

        self.variants = {
            "batch": {"run": self._caller(session, self.batches)},
            "single": {
                "run": self._caller(session, self.singles),
                "run on one thread": self._caller(alone, self.singles),
                "bound, on one thread": bound,
            },
        }

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        return onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def _caller(session: onnxruntime.InferenceSession, inputs: Sequence[Floats]) -> Call:
        return lambda i: session.run(("logits",), {"x": inputs[i % len(inputs)]})[0]

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}
