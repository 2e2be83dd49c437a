"""PyTorch: the network as its tutorials write it, trained with fused Adam."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from numcnn.benchmark.contestants import Call, Inference, Training, chunks
from numcnn.benchmark.peers.weight_layout import channels_first, channels_last
from numcnn.benchmark.workload import INFERENCE_BATCH, LEARNING_RATE, Workload
from numcnn.kernels.arrays import AnyArray, Floats

LAYERS = {"conv1": 0, "conv2": 3, "dense1": 7, "dense2": 9}  # numcnn's names, and their indices in the Sequential


def make_model(params: Mapping[str, Floats]) -> nn.Sequential:
    """Return the canonical network with numcnn's parameters in it."""
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    values = channels_first(params)
    with torch.no_grad():
        for name, parameter in parameters_of(model).items():
            parameter.copy_(torch.from_numpy(values[name]))
    return model


def parameters_of(model: nn.Sequential) -> dict[str, nn.Parameter]:
    """Return name -> parameter, under numcnn's names."""
    return {
        f"{name}.{short}": getattr(model[place], attribute)
        for name, place in LAYERS.items()
        for short, attribute in (("w", "weight"), ("b", "bias"))
    }


def use_threads(threads: int) -> None:
    """Compute with this many threads."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


class TorchTraining(Training):
    """Eager training: contiguous (NCHW), or channels_last."""

    def __init__(self, workload: Workload, threads: int, channels_last: bool = False) -> None:
        super().__init__()
        use_threads(threads)
        form = torch.channels_last if channels_last else torch.contiguous_format
        pixels, labels = workload.training_batches()
        self.x = [torch.from_numpy(x)[:, None].contiguous(memory_format=form) for x in pixels]
        self.labels = [torch.from_numpy(y) for y in labels]
        self.model = make_model(workload.params).to(memory_format=form)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        self._loss: torch.Tensor | None = None
        self.variants = {"step": {"channels_last" if channels_last else "contiguous": self._step}}

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return {"torch": torch.__version__}

    def arrays(self) -> dict[str, AnyArray]:
        """Return the loss of the first batch, and every parameter's gradient."""
        loss = functional.cross_entropy(self.model(self.x[0]), self.labels[0])
        loss.backward()
        gradients = {name: p.grad.numpy() for name, p in parameters_of(self.model).items()}
        return {"loss": loss.detach().numpy(), **{f"d{name}": g for name, g in channels_last(gradients).items()}}

    def _step(self, i: int) -> None:
        self.optimizer.zero_grad()
        batch = i % len(self.x)
        self._loss = functional.cross_entropy(self.model(self.x[batch]), self.labels[batch])
        self._loss.backward()
        self.optimizer.step()

    def wait(self) -> float | None:
        """See ``Timed``."""
        return None if self._loss is None else self._loss.item()


class TorchInference(Inference):
    """Inference in both memory formats: eager, frozen, and optimised for inference; one image also on one thread."""

    def __init__(self, workload: Workload, threads: int) -> None:
        super().__init__()
        use_threads(threads)
        pixels = workload.pixels()
        self.variants = {"batch": {}, "single": {}}
        for name, form in (("channels_last", torch.channels_last), ("contiguous", torch.contiguous_format)):
            batches = [_tensor(x, form) for x in chunks(pixels)]
            singles = [_tensor(pixels[i : i + 1], form) for i in range(INFERENCE_BATCH)]
            model = make_model(workload.params).to(memory_format=form).eval()
            frozen = torch.jit.freeze(torch.jit.trace(model, batches[0]))
            optimised = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, batches[0])))
            for way, run in (("eager", model), ("frozen", frozen), ("optimised", optimised)):
                self.variants["batch"][f"{way}, {name}"] = _caller(run, batches, threads)
                self.variants["single"][f"{way}, {name}"] = _caller(run, singles, threads)
                self.variants["single"][f"{way}, {name}, one thread"] = _caller(run, singles, 1)

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return {"torch": torch.__version__}

    def running(self) -> AbstractContextManager[Any]:
        """See ``Timed``."""
        return torch.inference_mode()


def _tensor(pixels: Floats, form: torch.memory_format) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels))[:, None].contiguous(memory_format=form)


def _caller(model: Callable[[torch.Tensor], torch.Tensor], inputs: Sequence[torch.Tensor], threads: int) -> Call:
    def call(i: int) -> torch.Tensor:
        torch.set_num_threads(threads)  # takes a microsecond
        return model(inputs[i % len(inputs)])

    return call
