"""The whole training run in PyTorch, with the recipe of a ``numcnn train``: from process start to the test accuracy.

The settings, initial weights, order of images and schedule are the same; the rest is tuned for PyTorch: channels_last,
fused Adam, the data as one uint8 tensor from which batches are gathered and standardised.
"""

import argparse
import json
import math
from dataclasses import fields

import numpy as np
import torch
from torch.nn import functional

from numcnn import data
from numcnn.benchmark import BenchmarkError
from numcnn.benchmark.peers.pytorch import make_model, parameters_of, use_threads
from numcnn.data.batches import ORDER, Examples
from numcnn.files import atomic_write
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig
from numcnn.training.schedules import make_schedule

EVALUATION_BATCH = 1000
DRY_RUN_STEPS = 2

# The settings that this run follows, and those that only say how numcnn computes.  Others must have their defaults.
FOLLOWED = {
    "epochs", "batch_size", "optimizer", "lr", "schedule", "warmup", "weight_decay", "clip", "label_smoothing", "val",
    "limit", "seed", "backend", "fuse",
}  # fmt: skip


def main() -> None:
    """Train as the arguments say, and write a run card with the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--config", type=json.loads, required=True, help="the fields of TrainConfig, as JSON")
    parser.add_argument("--dry-run", action="store_true", help=f"take {DRY_RUN_STEPS} steps, write nothing")
    parser.add_argument("--out", help="the card's file")
    arguments = parser.parse_args()
    config = TrainConfig(**arguments.config)
    _check(config)
    use_threads(arguments.threads)
    dataset = data.load(arguments.dataset, arguments.data_dir, seed=config.seed, limit=config.limit)
    run = Run(dataset, config)
    if arguments.dry_run:
        run.train_epoch(0, DRY_RUN_STEPS)
        print("dry run: all is well")
        return
    card = {"test_accuracy": run.train(), "torch": torch.__version__}
    with atomic_write(arguments.out) as file:
        file.write(json.dumps(card).encode())


def _check(config: TrainConfig) -> None:
    """Refuse a recipe that this run would not follow: it would compare two different ones.  Raises BenchmarkError."""
    plain = TrainConfig()
    unknown = [
        field.name
        for field in fields(config)
        if field.name not in FOLLOWED and getattr(config, field.name) != getattr(plain, field.name)
    ]
    if config.optimizer == "sgd":
        unknown.append("optimizer")
    if unknown:
        raise BenchmarkError(f"the run in PyTorch doesn't know these settings: {', '.join(unknown)}")


class Run:
    """The model, the data as tensors, and the loop."""

    def __init__(self, dataset: data.Dataset, config: TrainConfig) -> None:
        self.config = config
        self.train_index, self.val_index = dataset.split(config.val, config.seed)
        self.normalisation = Examples(dataset.train_images, dataset.train_labels, self.train_index).normalisation()
        first = Network(make_layers(config.model, dataset.classes), backend="reference", seed=config.seed)
        self.model = make_model(first.named_arrays(first.params)).to(memory_format=torch.channels_last)
        self.images, self.labels, self.test_images, self.test_labels = (
            torch.from_numpy(array)
            for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
        )
        parameters = parameters_of(self.model)
        groups = [
            {"params": [p for name, p in parameters.items() if name.endswith(".w")]},
            {"params": [p for name, p in parameters.items() if name.endswith(".b")], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.peak_lr, weight_decay=config.decay_rate, fused=True)
        self.steps_per_epoch = math.ceil(len(self.train_index) / config.batch_size)
        total = config.epochs * self.steps_per_epoch
        self.schedule = make_schedule(config.schedule, config.peak_lr, total, self.steps_per_epoch, config.warmup)
        self.steps = 0

    def train(self) -> float:
        """Train all epochs; keep the best in validation, if there is any.  Return the accuracy on the test set."""
        best, kept = -1.0, None
        for epoch in range(self.config.epochs):
            self.train_epoch(epoch)
            if len(self.val_index):
                index = torch.from_numpy(self.val_index)
                accuracy = self.accuracy(self.images[index], self.labels[index])
                if accuracy > best:
                    best, kept = accuracy, {name: p.clone() for name, p in self.model.state_dict().items()}
        if kept:
            self.model.load_state_dict(kept)
        return self.accuracy(self.test_images, self.test_labels)

    def train_epoch(self, epoch: int, steps: int | None = None) -> None:
        """Train one epoch, or its first ``steps``, in the same order as numcnn."""
        config = self.config
        rng = np.random.default_rng([config.seed, ORDER, epoch])
        order = torch.from_numpy(rng.permutation(self.train_index))
        for rows in order.split(config.batch_size)[:steps]:
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule(self.steps)
            self.optimizer.zero_grad()
            logits = self.model(self.standardised(self.images[rows]))
            loss = functional.cross_entropy(logits, self.labels[rows].long(), label_smoothing=config.label_smoothing)
            loss.backward()
            if config.clip:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
            self.optimizer.step()
            self.steps += 1

    def standardised(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 pictures (n,28,28) as the model's input."""
        mean, std = self.normalisation
        return images.float().mul_(1 / (255 * std)).sub_(mean / std)[:, None]

    @torch.inference_mode()
    def accuracy(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Return the share of pictures that are read correctly."""
        right = 0
        for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            right += int((self.model(self.standardised(x)).argmax(dim=1) == y).sum())
        return right / len(labels)


if __name__ == "__main__":
    main()
