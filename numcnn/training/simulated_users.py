"""Simulated users: some digits of a UCI writer are labelled and learned; the writer's other digits show the gain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from numcnn.data import handwriting, mixture
from numcnn.data.pendigits import PenDigits
from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Bools, Ints
from numcnn.nn.network import Network
from numcnn.training import personal

Summary: TypeAlias = dict[str, Any]

WAYS = ("balanced", "corrections")


@dataclass(frozen=True)
class Study:
    """What each user does.  count: digits labelled; way: which, see `label_some`; draws: repetitions.

    data_dir: MNIST's folder, see `personal.replay_for`.
    """

    count: int = 20
    draws: int = 3
    way: str = "balanced"
    seed: int = 0
    data_dir: str | Path | None = None
    recipe: personal.Recipe = personal.RECIPE
    backend: str = "fast"


@dataclass(frozen=True)
class User:
    """One draw of a writer's digits: of ``n`` that were not learned, how many were misread before and after.

    mnist: the error rate on MNIST's test set after learning, 0..1; None if MNIST isn't on this machine.
    """

    writer: int
    n: int
    before: int
    after: int
    mnist: float | None


def strangers(network: Network, people: PenDigits) -> list[int]:
    """Return the writers, sorted, whose digits ``network`` was not trained on, according to its ``info``."""
    tested, validated = mixture.not_learned_by(network)
    return [int(writer) for writer in np.unique(people.writers) if writer in (tested or validated)]


def worst(network: Network, people: PenDigits, count: int, *, backend: str = "fast") -> list[int]:
    """Return the ``count`` writers whose digits ``network`` misreads most often, the worst first."""
    images, labels = handwriting.render_plain(people, backend)
    wrong = network.predict(images) != labels
    writers = np.unique(people.writers)
    errors = np.array([wrong[people.writers == writer].mean() for writer in writers])
    return [int(writer) for writer in writers[np.argsort(-errors, kind="stable")][:count]]


def label_some(wrong: Bools, labels: Ints, count: int, way: str, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Choose which of a writer's digits to label -> indices of those labelled (count,), and of those to test with.

    wrong (N,): which digits are misread.  way "balanced": equally many of each class, at random; the rest is the test.
    "corrections": of one half, in random order, the user labels up to ``count / 2`` misread digits, then others; the
    other half is the test, misread or not.
    Raises ConfigError for another way, or for too many digits to label.
    """
    order = rng.permutation(len(labels))
    most = {"balanced": len(order) - 1, "corrections": len(order) // 2}.get(way)
    if most is None:
        raise ConfigError(f"there is no way {way!r} to label digits; choose {' or '.join(WAYS)}")
    if not 1 <= count <= most:
        raise ConfigError(f"of {len(order)} digits {count} are to be labelled; wants 1 to {most}, to have some to read")
    if way == "corrections":
        drawn, rest = order[: len(order) // 2], order[len(order) // 2 :]
        misread = drawn[wrong[drawn]][: count // 2]
        chosen = np.concatenate([misread, drawn[~np.isin(drawn, misread)][: count - len(misread)]])
        return chosen, np.sort(rest)
    ranks = np.empty(len(labels), int)  # of each digit among those of its class
    for label in np.unique(labels):
        mine = order[labels[order] == label]
        ranks[mine] = np.arange(len(mine))
    chosen = np.array(sorted(order, key=lambda i: ranks[i])[:count])
    return chosen, np.setdiff1d(order, chosen)


def simulate(network: Network, people: PenDigits, writers: Sequence[int], study: Study | None = None) -> Iterator[User]:
    """Let the network learn ``study.count`` digits of each writer, ``study.draws`` times.  Yield a ``User`` for each.

    Raises ConfigError for an unknown writer, or one with too few digits.
    """
    study = study or Study()
    seed, recipe, backend = study.seed, study.recipe, study.backend
    images, labels, _ = personal.replay_for(network, recipe.replay, seed=seed, data_dir=study.data_dir, backend=backend)
    replay = images, labels
    test = personal.local_mnist(("test_images", "test_labels"), study.data_dir)
    for writer in writers:
        own = people.of([writer])
        if not len(own):
            raise ConfigError(
                f"there is no writer {writer}; choose among {', '.join(map(str, np.unique(people.writers)))}"
            )
        images, labels = handwriting.render_plain(own, backend)
        wrong = network.predict(images) != labels
        for draw in range(study.draws):
            rng = np.random.default_rng([writer, draw, seed])
            some, rest = label_some(wrong, labels, study.count, study.way, rng)
            learner = personal.fine_tune(
                network, own.at(some), replay, seed=study.draws * seed + draw, recipe=recipe, backend=backend
            )
            yield User(
                writer,
                len(rest),
                int(wrong[rest].sum()),
                int((learner.predict(images[rest]) != labels[rest]).sum()),
                1 - personal.accuracy(learner, test["test_images"], test["test_labels"]) if test else None,
            )


def summary(users: Sequence[User], mnist_before: float | None = None) -> Summary:
    """Return the error rates for each writer and for all together, as a dict for JSON.

    mnist_before: the error rate on MNIST's test set before learning, 0..1.
    """
    writers = dict.fromkeys(user.writer for user in users)  # each once, in their order
    rows = [_errors([user for user in users if user.writer == writer]) | {"writer": writer} for writer in writers]
    found = _errors(users) | {"writers": rows}
    if mnist_before is not None:
        after = [user.mnist for user in users if user.mnist is not None]
        found["mnist"] = {"before": mnist_before, "after": float(np.mean(after)), "worst": max(after)}
    return found


def _errors(users: Sequence[User]) -> Summary:
    total = sum(user.n for user in users)
    before, after = sum(user.before for user in users) / total, sum(user.after for user in users) / total
    return {"draws": len(users), "n": total, "before": before, "after": after}


def to_text(found: Summary) -> str:
    """Return a ``summary`` as a table of at most 80 columns."""
    lines = ["errors on digits that were not learned", "writer  digits read   before    after   of before"]
    rows: list[Summary] = [*found["writers"], found | {"writer": "all"}]
    for row in rows:
        left = f"{row['after'] / row['before']:>9.0%}" if row["before"] else "        -"
        lines.append(f"{row['writer']:>6}  {row['n']:>11,}  {row['before']:>7.2%}  {row['after']:>7.2%}   {left}")
    if "mnist" in found:
        mnist = found["mnist"]
        rates = f"{mnist['before']:.2%} before, {mnist['after']:.2%} after, at worst {mnist['worst']:.2%}"
        lines.append(f"errors on MNIST's test set: {rates}")
    return "\n".join(lines)
