"""ONNX Runtime and OpenVINO: both run the network from one ONNX model, channels first, as exporters write it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from numcnn.benchmark.contestants import Inference, chunks
from numcnn.benchmark.peers.layout import channels_first
from numcnn.benchmark.task import INFERENCE_BATCH

OPSET = 17


def make_model(params):
    """Return the canonical network with numcnn's parameters as an ONNX model: x (N,1,28,28) -> logits (N,10)."""
    node = helper.make_node
    nodes, x = [], "x"
    for conv in ("conv1", "conv2"):
        nodes += [
            node("Conv", [x, f"{conv}.w", f"{conv}.b"], [conv], kernel_shape=[3, 3]),
            node("Relu", [conv], [f"{conv}.relu"]),
            node("MaxPool", [f"{conv}.relu"], [f"{conv}.pool"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        x = f"{conv}.pool"
    nodes += [
        node("Flatten", [x], ["flat"]),
        node("Gemm", ["flat", "dense1.w", "dense1.b"], ["dense1"], transB=1),
        node("Relu", ["dense1"], ["dense1.relu"]),
        node("Gemm", ["dense1.relu", "dense2.w", "dense2.b"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "canonical",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(values, name) for name, values in channels_first(params).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = min(model.ir_version, 10)  # older runtimes read no newer one
    onnx.checker.check_model(model)
    return model.SerializeToString()


class _OnnxInference(Inference):
    """What both share: the inputs, float32 NCHW."""

    def __init__(self, task):
        super().__init__()
        pixels = task.pixels()[:, None]
        self.batches = chunks(pixels)
        self.singles = [pixels[i : i + 1] for i in range(INFERENCE_BATCH)]
        self.model = make_model(task.params)


class OnnxRuntimeInference(_OnnxInference):
    """The CPU provider, all graph optimisations, threads as everybody's; arrays in, arrays out."""

    def __init__(self, task, threads):
        import onnxruntime

        super().__init__(task)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])
        self.variants = {
            "batch": {"run": lambda i: self._logits(self.batches[i % len(self.batches)])},
            "single": {"run": lambda i: self._logits(self.singles[i % len(self.singles)])},
        }

    def _logits(self, x):
        return self.session.run(("logits",), {"x": x})[0]

    def versions(self):
        """See ``Timed``."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}


class OpenVinoInference(_OnnxInference):
    """The CPU plug-in in float32 with fixed shapes: one stream (LATENCY), and for batches several side by side too."""

    def __init__(self, task, threads):
        super().__init__(task)
        self.threads = threads
        latency = {"PERFORMANCE_HINT": "LATENCY"}
        throughput = {"PERFORMANCE_HINT": "THROUGHPUT"}
        self.whole, self.one = (self._requests(n, latency, 1)[0] for n in (INFERENCE_BATCH, 1))
        self.variants = {
            "batch": {"LATENCY": lambda i: self._logits(self.whole, self.batches[i % len(self.batches)])},
            "single": {"LATENCY": lambda i: self._logits(self.one, self.singles[i % len(self.singles)])},
        }
        if INFERENCE_BATCH % threads == 0:
            self.side_by_side = self._requests(INFERENCE_BATCH // threads, throughput, threads)
            self.parts = [np.split(x, threads) for x in self.batches]
            self.variants["batch"]["THROUGHPUT"] = self._in_parts

    def _requests(self, images, hint, count):
        import openvino

        core = openvino.Core()
        model = core.read_model(self.model)
        model.reshape([images, 1, 28, 28])
        exact = {"INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(model, "CPU", {**hint, **exact})
        return [compiled.create_infer_request() for _ in range(count)]

    @staticmethod
    def _logits(request, x):
        return request.infer({0: x}, share_inputs=True, share_outputs=True)[0]

    def _in_parts(self, i):
        for request, part in zip(self.side_by_side, self.parts[i % len(self.parts)], strict=True):
            request.start_async({0: part}, share_inputs=True)
        for request in self.side_by_side:
            request.wait()
        return [request.get_output_tensor(0).data for request in self.side_by_side]

    def versions(self):
        """See ``Timed``."""
        import openvino

        return {"openvino": openvino.__version__.split("-")[0], "onnx": onnx.__version__}
