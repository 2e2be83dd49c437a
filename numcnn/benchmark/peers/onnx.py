"""ONNX Runtime and OpenVINO: both run the network from one ONNX model, channels first, as exporters write it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from numcnn.benchmark.contestants import Inference, chunks
from numcnn.benchmark.peers.weight_layout import channels_first
from numcnn.benchmark.workload import INFERENCE_BATCH

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
    """The CPU provider, all graph optimisations, arrays in, arrays out.

    Threads as everybody's; for one image also a single thread, and input and output bound beforehand.
    """

    def __init__(self, task, threads):
        super().__init__(task)
        session, alone = self._session(threads), self._session(1)
        binding = alone.io_binding()
        binding.bind_output("logits")

        def bound(i):
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

    def _session(self, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        return onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def _caller(session, inputs):
        return lambda i: session.run(("logits",), {"x": inputs[i % len(inputs)]})[0]

    def versions(self):
        """See ``Timed``."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}


class OpenVinoInference(_OnnxInference):
    """The CPU plug-in in float32 with fixed shapes: one stream (LATENCY), and for batches several side by side too.

    Threads as everybody's; for one image also a single thread.
    """

    def __init__(self, task, threads):
        super().__init__(task)
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

    def _requests(self, images, hint, threads, count):
        import openvino

        core = openvino.Core()
        model = core.read_model(self.model)
        model.reshape([images, 1, 28, 28])
        exact = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(model, "CPU", {**hint, **exact})
        return [compiled.create_infer_request() for _ in range(count)]

    def _caller(self, images, hint, threads, inputs):
        (request,) = self._requests(images, hint, threads, 1)
        return lambda i: request.infer({0: inputs[i % len(inputs)]}, share_inputs=True, share_outputs=True)[0]

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
