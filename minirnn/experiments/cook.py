"""The room-mate who cooks: a network whose weights can be written down, and one that finds them.

He knows three dishes: apple pie, burger, chicken. On a sunny day he goes out and makes the same as
yesterday; on a rainy day he stays in and makes the next on the list. By hand: the hidden units are
the six pairs of yesterday's dish and today's weather. Each is an AND, a relu of "dish + weather -
1". The output adds up the pairs that lead to a dish. Yesterday's dish is what yesterday's pair led
to, so W_h goes from a pair to its dish, and from there to the pairs that contain this dish.

The trained one is a tanh RNN of 8 units that sees the weather only: it has to keep yesterday's dish
in its state.
"""

from typing import Any

import numpy as np

import minirnn as mr
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="the cook: a network with hand-set 0/1 matrices, and one that learns the same",
    unit="days right, %",
    seconds=5,
    reference="100",
)
DISHES, WEATHERS = ("apple pie", "burger", "chicken"), ("sunny", "rainy")
# What each of the six pairs leads to: dish d with weather w gives dish d + w.
LEADS = np.array([[(d + w) % 3 == k for k in range(3)] for d in range(3) for w in range(2)], float)


def by_hand() -> mr.Sequential:
    """The exact network: in, across, out are matrices of 0 and 1."""
    model = mr.Sequential(mr.RNN(2, 6, "relu", rng=0), mr.Linear(6, 3, rng=0))
    p = model.params
    pair_of_dish = np.repeat(np.eye(3), 2, axis=1)  # (3, 6): the pairs that contain a dish
    p["0.W_x"][...] = np.tile(np.eye(2), 3)  # in: the pairs that contain a weather
    p["0.W_h"][...] = LEADS @ pair_of_dish  # across: yesterday's pair, its dish, that dish's pairs
    p["0.b"][...] = -1  # an AND: both dish and weather
    p["1.W"][...], p["1.b"][...] = LEADS, 0  # out: the dish that a pair leads to
    return model


def diary(rng: np.random.Generator, T: int, B: int) -> tuple[np.ndarray, np.ndarray]:
    """Weather (T, B, 2), one-hot, and dishes (T, B); the day before the first it was apple pie."""
    rainy = rng.integers(0, 2, (T, B))
    return np.eye(2)[rainy], np.cumsum(rainy, axis=0) % 3


def start(B):
    """The state of the network by hand in which a pair has just led to apple pie."""
    state = np.zeros((B, 6))
    state[:, np.argmax(LEADS[:, 0])] = 1
    return [state, None]


def run(settings: Settings) -> Result:
    """Train one, draw ``cook.png`` into ``out``; returns the share of days by model and length."""
    seed, _, epochs, quick, progress = settings
    rng = np.random.default_rng(seed)
    exact = by_hand()
    trained = mr.Sequential(mr.RNN(2, 8, rng=rng), mr.Linear(8, 3, rng=rng))
    epochs = epochs or (2 if quick else 40)
    mr.fit(
        trained, mr.softmax_cross_entropy, lambda rng: [diary(rng, 20, 50) for _ in range(20)],
        mr.Adam(), epochs, schedule=mr.cosine(0.02, epochs), max_norm=1.0, rng=rng,
        progress=progress,
    )  # fmt: skip
    result: dict[str, Any] = {}
    for T in (20, 200):
        x, dishes = diary(rng, T, 100)
        answers = {
            "by hand": exact.forward(x, start(100))[0].argmax(axis=-1),
            "trained on 20 days": trained.forward(x)[0].argmax(axis=-1),
            "the same every day": np.zeros_like(dishes),
            "the weather alone": x.argmax(axis=-1),
        }
        for name, answer in answers.items():
            share = 100 * float(np.mean(answer == dishes))
            result.setdefault(name, {})[f"{T} days"] = share
    settings.draw(draw, exact)
    return result


def draw(out, model):
    """The three matrices."""
    import matplotlib.pyplot as plt

    from minirnn import plot

    pairs = [f"{dish}, {weather}" for dish in DISHES for weather in WEATHERS]
    titles = ("in: weather to pairs", "across: yesterday's pair to pairs", "out: pair to dish")
    labels = ((WEATHERS, pairs), (pairs, pairs), (pairs, DISHES))
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for ax, name, title, (down, along) in zip(
        axes, ("0.W_x", "0.W_h", "1.W"), titles, labels, strict=True
    ):
        ax.imshow(model.params[name], cmap="gray_r", vmin=0, vmax=1.4)
        ax.set_xticks(range(len(along)), along, rotation=60, ha="right", fontsize=8)
        ax.set_yticks(range(len(down)), down, fontsize=8)
        for (i, j), v in np.ndenumerate(model.params[name]):
            ax.text(j, i, int(v), ha="center", va="center", color="w" if v else "k")
        ax.set_title(title)
    plot.save(figure, out / "cook.png")
