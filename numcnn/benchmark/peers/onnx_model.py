"""The ONNX model that ONNX Runtime and OpenVINO run, channels first, as exporters write it."""

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper, numpy_helper

from numcnn.benchmark.contestants import Inference, chunks
from numcnn.benchmark.peers.weight_layout import channels_first
from numcnn.benchmark.workload import INFERENCE_BATCH, Workload
from numcnn.kernels.arrays import Floats

OPSET = 17


def make_model(params: Mapping[str, Floats]) -> bytes:
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
    model.ir_version = min(model.ir_version, 10)  # the newest that older runtimes read
    onnx.checker.check_model(model)
    return model.SerializeToString()


class OnnxInference(Inference):
    """The model and its inputs, float32 NCHW."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        pixels = workload.pixels()[:, None]
        self.batches = chunks(pixels)
        self.singles = [pixels[i : i + 1] for i in range(INFERENCE_BATCH)]
        self.model = make_model(workload.params)
