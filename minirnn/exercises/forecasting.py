"""Forecasting: windows of a series, scaling without looking ahead, running free."""

from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import exercise, judge_against


def _cut(series, length, B=None, target=0, every=1, turned=False):
    """The right windows, or those of a slip."""
    B = len(series) - length if B is None else B
    at = np.arange(0, B, every)
    x = np.array([series[at + t] for t in range(length)])[..., None]
    return x[::-1] if turned else x, series[at + length + target]


def _axes(series, length, order):
    x, target = _cut(series, length)
    return {
        "batch first": (x.transpose(1, 0, 2), target),
        "flat": (x[..., 0], target),
        "reshaped": (x.transpose(1, 0, 2).reshape(x.shape), target),
        "column": (x, target[:, None]),
    }[order]


@exercise(
    "Write down the windows of 1, 2, 4, 7, 11 for length 2 by hand, each with what comes after it. "
    "How many are there?",
    "x[t] holds the value number t of every window: a piece of the series of B = N - length "
    "values that begins at t. The targets are what is left after the first `length` values.",
    "B = len(series) - length; x = np.array([series[t : t + B] for t in range(length)]); return "
    "x[..., None], series[length:].",
)
def cut_windows(student: Callable) -> str:
    """``cut_windows(series, length)``: x (length, B, 1) and target (B,), with B = N - length."""
    rng = np.random.default_rng(0)

    def late(series, length):
        return _cut(series, length, len(series) - length - 1, 1)

    return judge_against(
        student,
        _cut,
        {
            "the series 1, 2, 4 and length 1": (np.array([1.0, 2.0, 4.0]), 1),
            "the series 1, 2, 4, 7, 11 and length 2": (np.array([1.0, 2.0, 4.0, 7.0, 11.0]), 2),
            "nine values, length 3": (rng.normal(size=9), 3),
        },
        {
            "the axes of x are (window, step, feature); time comes first": (
                lambda s, n: _axes(s, n, "batch first")
            ),
            "x lacks its last axis, the one feature": lambda s, n: _axes(s, n, "flat"),
            "a reshape from (B, length, 1) to (length, B, 1), which leaves the numbers in their "
            "order and so mixes the windows; transpose them": lambda s, n: _axes(s, n, "reshaped"),
            "target has one axis too many: expected (B,)": lambda s, n: _axes(s, n, "column"),
            "the target is the last value in the window, not the one after it: the answer is in "
            "the input": lambda s, n: _cut(s, n, target=-1),
            "the target comes one step too late: a value is skipped after the window": late,
            "the last window is missing: there are N - length of them": (
                lambda s, n: _cut(s, n, len(s) - n - 1)
            ),
            "x has one window too many: nothing comes after the last one": lambda s, n: (
                _cut(np.append(s, 0), n)[0],
                s[n:],
            ),
            "the windows begin one step too late, and hold their own targets": lambda s, n: _cut(
                s[1:], n, len(s) - n, target=-1
            ),
            "the windows do not overlap; each should begin one step after the one before it": (
                lambda s, n: _cut(s, n, every=n)
            ),
            "time runs backwards: x[0] must be the oldest value of a window": (
                lambda s, n: _cut(s, n, turned=True)
            ),
            "the target of each window is its first value, not the one after its last": (
                lambda s, n: (_cut(s, n)[0], s[: len(s) - n])
            ),
        },
        {"x": ("step t", "window", "feature"), "target": ("window",)},
    )


@exercise(
    "Which values may be used for the mean and the standard deviation?",
    "mean = series[:split].mean(), and std in the same way. But scale the whole series.",
    "mean, std = series[:split].mean(), series[:split].std(); return (series - mean) / std, "
    "mean, std.",
)
def scale(student: Callable) -> str:
    """``scale(series, split)``: the whole series scaled by its training part, the mean, the std."""

    def by(fit, apply=lambda s, k: s, std=np.std, centre=np.mean):
        def slip(series, split):
            part = fit(series, split)
            mean, spread = centre(part), std(part)
            return (apply(series, split) - mean) / spread, mean, spread

        return slip

    def begin(s, k):
        return s[:k]

    def each(s, k):
        parts = [(p - p.mean()) / p.std() for p in (s[:k], s[k:])]
        return np.concatenate(parts), s[:k].mean(), s[:k].std()

    right = by(begin)
    rng = np.random.default_rng(0)
    return judge_against(
        student,
        right,
        {
            "0, 2 for training, then 100, 104": (np.array([0.0, 2.0, 100.0, 104.0]), 2),
            "1, 2, 6 for training, then 3, 4": (np.array([1.0, 2.0, 6.0, 3.0, 4.0]), 3),
            "twelve values that grow, split at 8": (np.arange(12) + rng.normal(size=12), 8),
        },
        {
            "the mean and the standard deviation are those of the whole series: the test part "
            "leaks into the scaling": by(lambda s, k: s),
            "the mean is that of the whole series (only the standard deviation is the training "
            "part's): the test part leaks in": lambda s, k: (
                (s - s.mean()) / s[:k].std(), s.mean(), s[:k].std()
            ),
            "the standard deviation is that of the whole series (only the mean is the training "
            "part's): the test part leaks in": lambda s, k: (
                (s - s[:k].mean()) / s.std(), s[:k].mean(), s.std()
            ),
            "the series is scaled by the mean of all of it, though that of the training part is "
            "returned: the test part leaks in": lambda s, k: (
                (s - s.mean()) / s[:k].std(), s[:k].mean(), s[:k].std()
            ),
            "mean and standard deviation are those of the test part": by(lambda s, k: s[k:]),
            "the test part is scaled by its own mean and standard deviation. They are not known at "
            "the split, and the level of the test part is lost": each,
            "the training part reaches one value too far: series[:split] ends before index split": (
                by(lambda s, k: s[: k + 1])
            ),
            "divided by the variance; the standard deviation is its root": by(begin, std=np.var),
            "the standard deviation with N - 1 (ddof=1); here use the one with N": (
                by(begin, std=lambda p: np.std(p, ddof=1))
            ),
            "scaled to 0..1 by minimum and maximum; use the mean and the standard deviation": (
                by(begin, std=np.ptp, centre=np.min)
            ),
            "divided, but the mean is not subtracted": lambda s, k: (
                (s / s[:k].std(), *right(s, k)[1:])
            ),
            "the mean is subtracted, but nothing is divided": lambda s, k: (
                (s - s[:k].mean(), *right(s, k)[1:])
            ),
            "only the training part is returned; scale the whole series": (
                by(begin, begin)
            ),
            "mean and std are returned in the wrong order": lambda s, k: (
                right(s, k)[0], right(s, k)[2], right(s, k)[1]
            ),
        },
        {"scaled": ("index",), "mean": (), "std": ()},
    )  # fmt: skip


def double(window):
    return 2.0 * window[-1]


def total(window):
    return float(np.sum(window))


def oldest_and_newest(window):
    return 0.5 * window[0] - window[-1] + 0.25 * len(window)


def _run(step, first, n, move=lambda window, new: np.append(window[1:], new), extra=0, skip=0):
    window, forecasts = first, []
    for _ in range(max(0, n + extra)):
        forecasts.append(step(window))
        window = move(window, forecasts[-1])
    return np.array(forecasts[skip:], float)


@exercise(
    "Do it by hand: the window is (1, 2), step adds up its values. What are the next three?",
    "In each pass: f = step(window); keep f; make a new window without its first value and with f "
    "at its end.",
    "forecasts.append(step(window)); window = np.append(window[1:], forecasts[-1]); n times, "
    "then return np.array(forecasts).",
)
def free_run_by_hand(student: Callable) -> str:
    """``free_run_by_hand(step, first, n)``: n forecasts (n,), each from the values before it."""

    def with_first(step, first, n):
        return np.append(first, _run(step, first, n))

    return judge_against(
        student,
        _run,
        {
            "n = 1, window (3), step doubles the newest": (double, np.array([3.0]), 1),
            "n = 3, window (3), step doubles the newest": (double, np.array([3.0]), 3),
            "n = 4, window (1, 2), step adds all up": (total, np.array([1.0, 2.0]), 4),
            "n = 6, window of three, step takes the oldest and the newest": (
                oldest_and_newest, np.array([1.0, -2.0, 0.5]), 6,
            ),
        },
        {
            "the window never moves: every forecast is computed from `first`": (
                lambda s, f, n: _run(s, f, n, lambda window, new: window)
            ),
            "the window grows: the oldest value is not dropped": (
                lambda s, f, n: _run(s, f, n, np.append)
            ),
            "the newest value is dropped for the forecast; it is the oldest that must go": (
                lambda s, f, n: _run(s, f, n, lambda window, new: np.append(window[:-1], new))
            ),
            "the forecast is put at the front of the window; the newest is at the end": (
                lambda s, f, n: _run(s, f, n, lambda window, new: np.append(new, window[:-1]))
            ),
            "the forecast takes the place of the oldest, but the others do not move up": (
                lambda s, f, n: _run(s, f, n, lambda window, new: np.append(new, window[1:]))
            ),
            "the newest value is overwritten before the others move up: shift first, or make a new "
            "array": lambda s, f, n: _run(
                s, f, n, lambda w, new: np.append(w[1:-1], [new, new])[-len(w) :]
            ),
            "the window is rotated, and no forecast gets into it": (
                lambda s, f, n: _run(s, f, n, lambda window, new: np.roll(window, -1))
            ),
            "the values of `first` are in the result; return forecasts only": with_first,
            "one forecast too few": lambda s, f, n: _run(s, f, n, extra=-1),
            "one forecast too many": lambda s, f, n: _run(s, f, n, extra=1),
            "the first forecast is missing, and there is one after the last": (
                lambda s, f, n: _run(s, f, n, extra=1, skip=1)
            ),
            "only the last forecast is returned": lambda s, f, n: _run(s, f, n)[-1],
        },
        {"forecasts": ("step",)},
    )  # fmt: skip
