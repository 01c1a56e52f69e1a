"""Small digits read row by row: the experiment with images that needs no download.

The UCI digits, 8 x 8 pixels, 1297 for training and the last 500, by other writers, for testing. One
LSTM reads the 8 rows from top to bottom, another from bottom to top. In training, half of the
values that they return is dropped, and every image is moved by up to one pixel each time. To
compare with: one linear layer that sees all 64 pixels at once, and the most frequent class.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, images
from minirnn.experiments import Experiment, Result, Settings
from minirnn.experiments.common import image_baselines, rows, scores

EXPERIMENT = Experiment(
    title="8 x 8 digits, read row by row",
    unit="right, %",
    seconds=30,
    reference="97",
)


def run(settings: Settings) -> Result:
    """Train, draw ``digits-rows.png`` into ``out``; returns the accuracy by model and part."""
    seed, _, epochs, quick, progress = settings
    epochs = epochs or (2 if quick else 120)
    (train, y), (test, y_test) = images.digits()
    x, x_test = rows(train), rows(test)
    rng = np.random.default_rng(seed)
    o = {"rng": rng, "dtype": np.float32}
    model = mr.Sequential(
        mr.Bidirectional(mr.LSTM(8, 64, **o), mr.LSTM(8, 64, **o)), mr.Last(both=True),
        mr.Dropout(0.5), mr.Linear(128, 10, **o),
    )  # fmt: skip

    def moved(rng):
        for some, target in batches.shuffled(x, y, 32, rng):
            yield move(some, rng), target

    mr.fit(
        model, mr.softmax_cross_entropy, moved, mr.Adam(),
        epochs, schedule=mr.cosine(0.005, epochs), max_norm=5.0, rng=rng, progress=progress,
    )  # fmt: skip
    parts = (x, y), (x_test, y_test)
    result = {"bidirectional LSTM": scores(model, *parts)}
    result |= image_baselines(*parts, epochs, rng, 32, 0.01)
    settings.draw(draw, model, x_test, y_test, test)
    return result


def move(x, rng):
    """Images x (8, B, 8), each moved by -1, 0 or 1 pixels along both axes."""
    wide, result = np.pad(x, ((1, 1), (0, 0), (1, 1))), np.empty_like(x)
    for b, (down, right) in enumerate(rng.integers(0, 3, (x.shape[1], 2))):
        result[:, b] = wide[down : down + 8, b, right : right + 8]
    return result


def draw(out, model, x, y, pictures):
    """Digits and answers, the wrong ones first."""
    import matplotlib.pyplot as plt

    from minirnn import plot

    answer = model.forward(x)[0].argmax(axis=-1)
    order = np.concatenate([np.flatnonzero(answer != y), np.flatnonzero(answer == y)])[:24]
    figure, axes = plt.subplots(3, 8, figsize=(8, 3.9), layout="constrained")
    for ax, k in zip(axes.flat, order, strict=False):
        ax.imshow(pictures[k], cmap="gray_r")
        ax.set_title(
            f"{y[k]} read as {answer[k]}", fontsize=8, color="k" if answer[k] == y[k] else "C3"
        )
        ax.set_axis_off()
    figure.suptitle("Test digits, the misread ones first")
    plot.save(figure, out / "digits-rows.png")
