"""Simulated users: some digits of each of UCI's writers are labelled and learnt; his others tell what it is worth."""

from dataclasses import dataclass

import numpy as np

from numcnn import personal
from numcnn.data import handwriting
from numcnn.errors import ConfigError

WAYS = ("balanced", "corrections")


@dataclass(frozen=True)
class User:
    """One draw of one writer's digits: of ``n`` that were not learnt, how many were misread before and after.

    mnist: the errors on MNIST's test set after learning, a share; None where it isn't on this machine.
    """

    writer: int
    n: int
    before: int
    after: int
    mnist: float | None


def strangers(network, people):
    """Return the writers, sorted, whose digits ``network`` has not learnt from, as its ``info`` tells."""
    tested, validated = handwriting.not_learnt_by(network)
    return [int(writer) for writer in np.unique(people.writers) if writer in (tested or validated)]


def worst(network, people, count):
    """Return the ``count`` writers whose digits ``network`` misreads most often, the worst first."""
    images, labels = handwriting.drawn_plainly(people)
    wrong = network.predict(images) != labels
    writers = np.unique(people.writers)
    errors = np.array([wrong[people.writers == writer].mean() for writer in writers])
    return [int(writer) for writer in writers[np.argsort(-errors, kind="stable")][:count]]


def label_some(wrong, labels, count, way, rng):
    """Return which of a person's digits he labels, (count,) indices, and the others.

    way "balanced": equally many of each class, at random.  "corrections": in the order of drawing, those that are
    ``wrong`` (N,), up to half of ``count``, and others at random.
    """
    order = rng.permutation(len(labels))
    if way == "corrections":
        misread = [i for i in order if wrong[i]][: count // 2]
        chosen = [*misread, *[i for i in order if i not in misread][: count - len(misread)]]
    elif way == "balanced":
        ranks = np.empty(len(labels), int)  # of each digit among those of its class
        for label in np.unique(labels):
            mine = order[labels[order] == label]
            ranks[mine] = np.arange(len(mine))
        chosen = sorted(order, key=lambda i: ranks[i])[:count]
    else:
        raise ConfigError(f"there is no way {way!r} to label digits; choose {' or '.join(WAYS)}")
    return np.array(chosen, int), np.setdiff1d(order, chosen)


def simulate(network, people, writers, *, count=20, draws=3, way="balanced", data_dir=None, recipe=personal.RECIPE):
    """Let the network learn ``count`` digits of each writer, ``draws`` times.  Yield a ``User`` for each.

    people: ``PenDigits``.  Raises ConfigError for a writer who isn't there or hasn't drawn enough.
    """
    *replay, _ = personal.replay_for(network, recipe.replay, data_dir=data_dir)
    test = personal.mnist_at_hand(("test_images", "test_labels"), data_dir)
    for writer in writers:
        own = people.of([writer])
        if not 1 <= count < len(own):
            raise ConfigError(
                f"writer {writer} has drawn {len(own)} digits; {count} to label wants more of them, or less"
            )
        images, labels = handwriting.drawn_plainly(own)
        wrong = network.predict(images) != labels
        for draw in range(draws):
            some, rest = label_some(wrong, labels, count, way, np.random.default_rng([writer, draw]))
            learner = personal.fine_tune(network, own.at(some), replay, seed=draw, recipe=recipe)
            yield User(
                writer,
                len(rest),
                int(wrong[rest].sum()),
                int((learner.predict(images[rest]) != labels[rest]).sum()),
                1 - personal.accuracy(learner, test["test_images"], test["test_labels"]) if test else None,
            )


def summary(users, mnist_before=None):
    """Return what the users come to, writer by writer and all together, as a dict that JSON can hold.

    mnist_before: the errors on MNIST's test set before learning, a share.
    """
    rows = [_errors([user for user in users if user.writer == w]) | {"writer": w} for w in _in_order(users)]
    found = _errors(users) | {"writers": rows}
    if mnist_before is not None:
        found["mnist"] = {
            "before": mnist_before,
            "after": float(np.mean([user.mnist for user in users])),
            "worst": max(user.mnist for user in users),
        }
    return found


def _errors(users):
    total = sum(user.n for user in users)
    before, after = (sum(counts) / total for counts in zip(*((u.before, u.after) for u in users), strict=True))
    return {"draws": len(users), "n": total, "before": before, "after": after}


def _in_order(users):
    return list(dict.fromkeys(user.writer for user in users))


def to_text(found):
    """Return a ``summary`` as a table of at most 80 columns."""
    lines = ["errors on digits that were not learnt", "writer  digits read   before    after   of before"]
    for row in (*found["writers"], found | {"writer": "all"}):
        left = f"{row['after'] / row['before']:>9.0%}" if row["before"] else "        -"
        lines.append(f"{row['writer']:>6}  {row['n']:>11,}  {row['before']:>7.2%}  {row['after']:>7.2%}   {left}")
    if "mnist" in found:
        mnist = found["mnist"]
        told = f"{mnist['before']:.2%} before, {mnist['after']:.2%} after, at worst {mnist['worst']:.2%}"
        lines.append(f"errors on MNIST's test set: {told}")
    return "\n".join(lines)
