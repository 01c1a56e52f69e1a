"""What the experiments with classes share: accuracy, and the baselines without memory."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.datasets import batches
from minirnn.experiments import Result
from minirnn.protocol import Layer
from minirnn.training.overall import Overall

Part = tuple[np.ndarray, np.ndarray]  # a part of the data: x (T, N, D), and a class for each (N,)


def accuracy(model: Layer, data: Iterable[tuple]) -> float:
    """The percentage of sequences for which the largest output of the model (B, K) is the target's.

    data: batches (x, target) or (x, target, lengths).
    """
    overall = Overall(mr.metrics.accuracy, "accuracy")
    for x, target, *lengths in data:
        y = mr.predict(model, x, lengths[0] if lengths else None, len(target))
        overall.add(y, target, None)
    right, number = overall.total
    return 100 * right / number


def in_order(x: np.ndarray, target: np.ndarray, size: int = 500) -> Iterable[tuple]:
    """Batches of x (T, N, ...) and target (N,), not shuffled."""
    for k in range(0, len(target), size):
        yield x[:, k : k + size], target[k : k + size]


def scores(model: Layer, train: Part, test: Part) -> dict[str, float]:
    """Accuracy on both parts."""
    return {"train": accuracy(model, in_order(*train)), "test": accuracy(model, in_order(*test))}


def recording(losses: list[float]) -> Callable:
    """``softmax_cross_entropy`` that also appends the loss of each batch to a list."""

    def loss_fn(logits: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
        loss, dy = mr.softmax_cross_entropy(logits, target)
        losses.append(loss)
        return loss, dy

    return loss_fn


def image_baselines(
    train: Part,
    test: Part,
    epochs: int,
    rng: np.random.Generator,
    size: int = 128,
    lr: float = 1e-3,
    kind: str = "digit",
) -> Result:
    """What to compare a recurrent network with: all pixels at once, and the most frequent class."""
    return {
        "linear layer, all pixels": logistic_regression(train, test, 10, epochs, rng, size, lr),
        f"most frequent {kind}": {
            part: most_frequent(train[1], y) for part, y in (("train", train[1]), ("test", test[1]))
        },
    }


def most_frequent(train: np.ndarray, test: np.ndarray) -> float:
    """The accuracy of always answering the most frequent class of the training part."""
    return 100 * float(np.mean(test == np.bincount(train).argmax()))


def logistic_regression(
    train: Part,
    test: Part,
    classes: int,
    epochs: int,
    rng: np.random.Generator,
    size: int = 128,
    lr: float = 1e-3,
    dtype: Any = "float32",
) -> dict[str, float]:
    """Accuracy on both parts of one linear layer that sees all of x (T, N, D) at once."""

    def flat(x: np.ndarray) -> np.ndarray:
        return x.transpose(1, 0, 2).reshape(1, x.shape[1], -1).astype(dtype)

    (x, y), (x_test, y_test) = train, test
    x, x_test = flat(x), flat(x_test)
    model = mr.Sequential(mr.Last(), mr.Linear(x.shape[-1], classes, rng=rng, dtype=dtype))
    mr.fit(
        model, mr.softmax_cross_entropy, lambda rng: batches.shuffled(x, y, size, rng),
        mr.Adam(lr), epochs, rng=rng, progress=False,
    )  # fmt: skip
    return scores(model, (x, y), (x_test, y_test))


def rows(images: np.ndarray, dtype: Any = "float32") -> np.ndarray:
    """Images (N, S, S) or (N, S, S, C) as sequences of rows (S, N, S * C), scaled to at most 1."""
    x = np.moveaxis(images.reshape(*images.shape[:2], -1), 1, 0)
    return x.astype(dtype) / x.dtype.type(np.max(images))
