"""Simulated users: some digits of each of UCI's writers are labelled and learnt; his others tell what it is worth."""

from dataclasses import dataclass

import numpy as np

from numcnn.data import handwriting, mixture
from numcnn.errors import ConfigError
from numcnn.training import personal

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
    tested, validated = mixture.not_learnt_by(network)
    return [int(writer) for writer in np.unique(people.writers) if writer in (tested or validated)]


def worst(network, people, count, *, backend="fast"):
    """Return the ``count`` writers whose digits ``network`` misreads most often, the worst first."""
    images, labels = handwriting.render_plain(people, backend)
    wrong = network.predict(images) != labels
    writers = np.unique(people.writers)
    errors = np.array([wrong[people.writers == writer].mean() for writer in writers])
    return [int(writer) for writer in writers[np.argsort(-errors, kind="stable")][:count]]


def label_some(wrong, labels, count, way, rng):
    """Return which of a person's digits (N,) he labels, (count,) indices, and those that tell what it is worth.

    way "balanced": equally many of each class, at random; all others tell.  "corrections": he draws one half, in random
    order, and labels those of it that are ``wrong`` (N,), up to half of ``count``, and others of it; the half that he
    draws afterwards tells, errors and all.  Raises ConfigError for another way, or for too many to label.
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


def simulate(
    network,
    people,
    writers,
    *,
    count=20,
    draws=3,
    way="balanced",
    seed=0,
    data_dir=None,
    recipe=personal.RECIPE,
    backend="fast",
):
    """Let the network learn ``count`` digits of each writer, ``draws`` times.  Yield a ``User`` for each.

    people: ``PenDigits``.  Raises ConfigError for a writer who isn't there or hasn't drawn enough.
    """
    *replay, _ = personal.replay_for(network, recipe.replay, seed=seed, data_dir=data_dir, backend=backend)
    test = personal.mnist_at_hand(("test_images", "test_labels"), data_dir)
    for writer in writers:
        own = people.of([writer])
        if not len(own):
            raise ConfigError(
                f"there is no writer {writer}; choose among {', '.join(map(str, np.unique(people.writers)))}"
            )
        images, labels = handwriting.render_plain(own, backend)
        wrong = network.predict(images) != labels
        for draw in range(draws):
            rng = np.random.default_rng([writer, draw, seed])
            some, rest = label_some(wrong, labels, count, way, rng)
            learner = personal.fine_tune(
                network, own.at(some), replay, seed=draws * seed + draw, recipe=recipe, backend=backend
            )
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
