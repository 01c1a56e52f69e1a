"""Which summary of a sequence loses what? Digits that go up or down, and which one is next.

A sequence goes up or down by one: 2 3 4 or 9 8 7 6, of 2 to 6 digits; the question is the next one.
Four summaries of the digits so far go into the same small network of one hidden layer:

* ``concatenation`` of 6 one-hot digits: exact, but it has no room for a seventh;
* ``sum`` of the one-hot digits: for any length, but 2 3 and 3 2 are the same;
* ``decayed sum``, halved at each step: order and any length, by a fixed rule;
* an ``RNN``'s hidden state, which learns what to keep.

Sequences of 2 to 6 digits are used for training and testing, those of 7 and 8 for testing only.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import batches
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="the next digit: concatenation, sum, decayed sum and an RNN as a memory",
    unit="right, %",
    seconds=10,
    reference="concatenation fails for new lengths, the sum for order",
)
LONGEST = 6  # in training


def sequences(lengths):
    """All sequences of these lengths: their digits, and the next one."""
    found = []
    for n in lengths:
        for first in range(10):
            for step in (1, -1):
                digits = first + step * np.arange(n + 1)
                if digits.min() >= 0 and digits.max() <= 9:
                    found.append((digits[:-1], digits[-1]))
    return found


def concatenation(digits):
    if len(digits) > LONGEST:
        return None
    v = np.zeros((LONGEST, 10))
    v[np.arange(len(digits)), digits] = 1
    return v.ravel()


def total(digits):
    return np.eye(10)[digits].sum(axis=0)


def decayed_sum(digits):
    return (0.5 ** np.arange(len(digits))[::-1]) @ np.eye(10)[digits]


def run(settings: Settings) -> Result:
    """Train the four, draw ``next-digit.png`` into ``out``; returns the accuracy by model, for
    short and for longer sequences."""
    seed, _, epochs, quick, progress = settings
    epochs = epochs or (20 if quick else 600)
    train, longer = sequences(range(2, LONGEST + 1)), sequences((7, 8))
    parts = {"2 to 6 digits": train, "7 and 8 digits": longer}
    result = {}
    for name, represent in (
        ("concatenation", concatenation), ("sum", total), ("decayed sum", decayed_sum)
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        x = np.array([represent(digits) for digits, _ in train])
        y = np.array([answer for _, answer in train])
        model = mr.Sequential(
            mr.Linear(x.shape[1], 32, rng=rng), mr.Activation("tanh"), mr.Linear(32, 10, rng=rng)
        )
        mr.fit(model, mr.softmax_cross_entropy, (x, y), mr.Adam(0.01), epochs, progress=progress)
        result[name] = {part: share(model, data, represent) for part, data in parts.items()}
    rng = np.random.default_rng(seed)
    model = mr.Sequential(
        mr.Embedding(10, 16, rng=rng),
        mr.RNN(16, 32, rng=rng),
        mr.Last(),
        mr.Linear(32, 10, rng=rng),
    )
    digits, answers = zip(*train, strict=True)
    mr.fit(
        model, mr.softmax_cross_entropy, lambda rng: batches.buckets(digits, answers, 32, rng),
        mr.Adam(0.005), max(1, epochs // 3), max_norm=1.0, rng=rng, progress=progress,
    )  # fmt: skip
    result["RNN"] = {part: share(model, data, None) for part, data in parts.items()}
    guess = np.bincount([answer for _, answer in train]).argmax()
    result["most frequent digit"] = {
        part: 100 * float(np.mean([answer == guess for _, answer in data]))
        for part, data in parts.items()
    }
    settings.draw(draw, result)
    return result


def share(model, data, represent):
    """The percentage that is right; what cannot be represented is wrong."""
    right = 0
    for digits, answer in data:
        x = digits[:, None] if represent is None else represent(digits)
        if x is not None:
            y, _, _ = model.forward(x if represent is None else x[None])
            right += int(y.argmax() == answer)
    return 100 * right / len(data)


def draw(out, result):
    """The two sums of 2 3 and of 3 2."""
    import matplotlib.pyplot as plt

    from minirnn import plot

    figure, axes = plt.subplots(2, 2, figsize=(8, 3.4), layout="constrained")
    for row, f in zip(axes, (total, decayed_sum), strict=True):
        for ax, digits in zip(row, ([2, 3], [3, 2]), strict=True):
            ax.bar(range(10), f(np.array(digits)), color="0.4")
            ax.set_title(
                f"{'sum' if f is total else 'decayed sum'} of {digits[0]}, then {digits[1]}"
            )
            ax.set_xticks(range(10))
            ax.set_ylim(0, 1.1)
    plot.save(figure, out / "next-digit.png")
