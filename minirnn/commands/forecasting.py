"""The network of ``minirnn forecast``: a mean of small GRUs, chosen without the test part.

Each GRU forecasts the change since the last value, or since the same season, of the series or of
its logarithm. These variants are trained once each; those whose errors on the validation part are
near the smallest stay, and two more are trained of each, from other initial values. The forecast is
their mean, weighted by the errors, and drawn towards the best naive forecast as far as that makes
the errors on the validation part smaller. The test part decides nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minirnn as mr
from minirnn import metrics
from minirnn.datasets import forecasts, rolling, series
from minirnn.protocol import Array
from minirnn.training.optim import cosine

UNITS = 16
UPDATES = 25  # an epoch
EPOCHS = 24
PATIENCE = 8
BATCH = 64
MOST = 1000  # windows of the validation part; of more, every second or third is taken
LONGEST = 60  # steps of a window
FURTHER = 2  # networks of each variant that stays
MOST_VARIANTS = 2  # that stay
WORSE = 1.3  # times the smallest error: a variant that is worse goes


class Problem(NamedTuple):
    """What is to be forecast."""

    values: Array  # (T, D), the first column is to be forecast; NaN where a value is missing
    known: Array  # (T + H, F), known in advance
    season: int  # 1 for none
    horizon: int
    begins: tuple[int, int]  # the first rows of the validation and the test part


class Member(NamedTuple):
    """A trained network and its forecasts of the two parts."""

    variant: str
    model: Any
    about: dict[str, Any]
    validation: Array  # (H, N, 1)
    test: Array  # (H, N, 1)


class Network(NamedTuple):
    """The members, what each counts, and what the naive forecast counts."""

    members: list[Member]
    weights: list[float]
    naive: str
    naive_weight: float

    def combine(self, own: list[Array], naive: Array) -> Array:
        """The forecast, from those of the members and the naive one."""
        total = self.naive_weight * naive
        for weight, forecast in zip(self.weights, own, strict=True):
            total = total + weight * forecast
        return total


def window_of(problem: Problem) -> int:
    """The steps that a network sees: two seasons, or 12, and fewer of a short series."""
    steps = min(max(2 * problem.season, 8), LONGEST) if problem.season > 1 else 12
    room = problem.begins[0] - problem.season - problem.horizon
    steps = min(steps, max(room // 3, 2))
    return max(steps, problem.horizon) if problem.known.shape[1] else steps


def variants(problem: Problem) -> dict[str, dict[str, Any]]:
    """The options of ``series.split`` by the name of the variant."""
    changes = {"change since the last value": 1}
    if problem.season > 1:
        changes["change since the same season"] = problem.season
    positive = bool(np.nanmin(problem.values) > 0)
    return {
        ("log: " if log else "") + name: {"difference": lag, "log": log}
        for log in ((False, True) if positive else (False,))
        for name, lag in changes.items()
    }


def train(
    problem: Problem, seed: int, folder: Path, tick: Callable[[str], None], epochs: int = EPOCHS
) -> tuple[Network, rolling.Rolling, rolling.Rolling]:
    """The network, and its forecasts from all origins of the validation and the test part.

    folder: where each training keeps its progress, to go on from. tick: called with a text before
    each training.
    """
    options = variants(problem)
    parts = {name: cut(problem, how) for name, how in options.items()}
    fit = functools.partial(member, parts, folder=folder, epochs=epochs)
    members = []
    for k, name in enumerate(options):
        tick(f"network {k + 1}: {name}")
        members.append(fit(name, seed=100 * seed))
    actual = next(iter(parts.values())).validation.future
    error = np.array([rmse(m.validation, actual) for m in members])
    kept = [members[k].variant for k in np.argsort(error)[:MOST_VARIANTS]]
    kept = [
        m.variant
        for m, e in zip(members, error, strict=True)
        if m.variant in kept and e <= WORSE * error.min()
    ]
    members = [m for m in members if m.variant in kept]
    for k in range(1, 1 + FURTHER):
        for name in kept:
            tick(f"network {len(options) + (k - 1) * len(kept) + kept.index(name) + 1}: {name}")
            members.append(fit(name, seed=100 * seed + k))
    network = combined(problem, members, actual)
    validation, test = (judged(problem, network, parts[kept[0]], part) for part in (0, 1))
    return network, validation, test


def cut(problem: Problem, how: dict[str, Any]) -> series.Split:
    values, (v, s) = problem.values, problem.begins
    T = len(values)
    return series.split(
        values, window_of(problem), problem.horizon, target=0,
        inputs=problem.known[:T] if problem.known.shape[1] else None, validation=s - v, test=T - s,
        look_back=True, missing="mask" if np.isnan(values).any() else "refuse", **how,
    )  # fmt: skip


def member(
    parts: dict[str, series.Split], variant: str, seed: int, folder: Path, epochs: int
) -> Member:
    """One GRU, trained until its errors on the validation part grow. It is kept in a file of the
    folder, and taken from there if the file exists."""
    own = parts[variant]
    name = f"{'log-' if variant.startswith('log') else ''}{own.about['scaler']['difference']}"
    file = folder / f"{name}-{seed}.npz"
    if file.exists():
        model = mr.load(file)
    else:
        model = trained(own, seed, epochs)
        mr.save(model, file)
    found = [forecasts.predict(model, part, own.about) for part in (own.validation, own.test)]
    return Member(variant, model, own.about, found[0], found[1])


def trained(own: series.Split, seed: int, epochs: int) -> Any:
    rng = np.random.default_rng(seed)
    D, n = own.train.x.shape[2], own.train.target.shape[1]
    model = mr.Sequential(
        mr.GRU(D, UNITS, rng=rng, dtype="float32"),
        mr.Last(),
        mr.Linear(UNITS, n, rng=rng, dtype="float32"),
    )
    model.params["2.W"][...] *= 0.1  # begins near the mean change
    every = -(-len(own.validation.rows) // MOST)
    mr.fit(
        model, mr.mse, functools.partial(updates, own.train),
        mr.Adam(lr=0.01, weight_decay=1e-3), epochs,
        validation=own.validation.batch(slice(None, None, every)), patience=PATIENCE,
        schedule=cosine(0.01, epochs), max_norm=1.0, rng=rng, progress=False,
    )  # fmt: skip
    return model


def updates(train: series.Windows, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """The batches of an epoch: some of a long series, several rounds of a short one."""
    size, N = min(BATCH, max(len(train.rows) // 4, 1)), len(train.rows)
    rounds = -(-size * UPDATES // N)
    order = np.concatenate([rng.permutation(N) for _ in range(rounds)])
    for k in range(0, size * UPDATES, size):
        yield train.batch(order[k : k + size])


def combined(problem: Problem, members: list[Member], actual: Array) -> Network:
    """The members with their weights, from their errors on the validation part."""
    error = np.array([rmse(m.validation, actual) for m in members])
    weights = (error.min() / error) ** 4
    weights = weights / weights.sum()
    mean = sum(w * m.validation for w, m in zip(weights, members, strict=True))
    v, s = problem.begins
    naive = rolling.compare(
        forecasts.naive(problem.season), problem.values, v, problem.horizon, end=s, target=0
    )
    best = min(naive, key=lambda name: naive[name].rmse())
    share = drawn(mean, naive[best].forecast, actual)
    return Network(members, (share * weights).tolist(), best, 1 - share)


def drawn(mean: Array, naive: Array, actual: Array) -> float:
    """The share in 0..1 of the networks' forecast, beside a naive one, with the smallest error."""
    there = np.isfinite(actual)
    step, wanted = (mean - naive)[there], (actual - naive)[there]
    return float(np.clip(np.sum(step * wanted) / max(np.sum(step * step), 1e-300), 0, 1))


def judged(problem: Problem, network: Network, parts: series.Split, part: int) -> rolling.Rolling:
    """The network's forecasts of the validation part (0) or the test part (1)."""
    windows = (parts.validation, parts.test)[part]
    end = (problem.begins[1], len(problem.values))[part]
    naive = rolling.rolling(
        forecasts.naive(problem.season)[network.naive], problem.values, problem.begins[part],
        problem.horizon, end=end, target=0,
    )  # fmt: skip
    at = np.searchsorted(naive.rows, windows.rows)
    own = [(m.validation, m.test)[part] for m in network.members]
    return rolling.Rolling(
        windows.rows, network.combine(own, naive.forecast[:, at]), windows.future
    )


def grows(network: Network) -> bool:
    """Whether the logarithm has helped more than it has not: then the ups and downs of the series
    grow with it, and so will the errors."""
    pairs = zip(network.weights, network.members, strict=True)
    logs = sum(w for w, m in pairs if m.about["scaler"]["log"])
    return logs > sum(network.weights) / 2


def ahead(problem: Problem, network: Network) -> Array:
    """The forecast of the rows after the last, (H, 1)."""
    inputs = (problem.known,) if problem.known.shape[1] else ()
    H = problem.horizon
    own = [
        forecasts.forecaster(m.model, m.about)(problem.values, H, *inputs) for m in network.members
    ]
    naive = forecasts.naive(problem.season)[network.naive](problem.values, H)
    return network.combine(own, naive[:, :1])


def rmse(forecast: Array, actual: Array) -> float:
    """Root of the mean squared error, over the values that are there."""
    return metrics.rmse(forecast, actual, np.isfinite(actual))
