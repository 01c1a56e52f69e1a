"""Wrong answers to the exercises of chapter 9."""

import numpy as np


def pairs(series, length, last=0, target=0):
    starts = range(len(series) - length + last)
    x = np.array([series[k : k + length] for k in starts])
    return x, np.array([series[k + length + target] for k in starts])


def batch_first(series, length):
    x, target = pairs(series, length)
    return x[..., None], target


def reshaped(series, length):
    x, target = pairs(series, length)
    return x.reshape(length, -1, 1), target


def answer_in_the_input(series, length):
    x, target = pairs(series, length, target=-1)
    return x.T[..., None], target


def one_missing(series, length):
    x, target = pairs(series, length, last=-1)
    return x.T[..., None], target


def too_late(series, length):
    x, target = pairs(series, length, last=-1, target=1)
    return x.T[..., None], target


def no_feature(series, length):
    x, target = pairs(series, length)
    return x.T, target


def side_by_side(series, length):
    starts = np.arange(0, len(series) - length, length)
    return series[starts + np.arange(length)[:, None]][..., None], series[starts + length]


def backwards(series, length):
    x, target = pairs(series, length)
    return x.T[::-1, :, None], target


def x_only(series, length):
    return pairs(series, length)[0].T[..., None]


def leak(series, split):
    return (series - series.mean()) / series.std(), series.mean(), series.std()


def each_part(series, split):
    a, b = series[:split], series[split:]
    scaled = np.concatenate([(a - a.mean()) / a.std(), (b - b.mean()) / b.std()])
    return scaled, a.mean(), a.std()


def variance(series, split):
    a = series[:split]
    return (series - a.mean()) / a.var(), a.mean(), a.var()


def training_part_only(series, split):
    a = series[:split]
    return (a - a.mean()) / a.std(), a.mean(), a.std()


def to_0_1(series, split):
    low, size = series[:split].min(), np.ptp(series[:split])
    return (series - low) / size, low, size


def not_centred(series, split):
    a = series[:split]
    return series / a.std(), a.mean(), a.std()


def sample_std(series, split):
    a = series[:split]
    return (series - a.mean()) / a.std(ddof=1), a.mean(), a.std(ddof=1)


def leaking_std(series, split):
    mean, std = series[:split].mean(), series.std()
    return (series - mean) / std, mean, std


def in_place(series, split):
    series -= series[:split].mean()
    return series / series[:split].std(), 0.0, series[:split].std()


def run(move, keep=slice(None)):
    def free_run_by_hand(step, first, n):
        window, forecasts = first, []
        for _ in range(n):
            forecasts.append(step(window))
            window = move(window, forecasts[-1])
        return np.array(forecasts[keep])

    return free_run_by_hand


def right_move(window, new):
    return np.append(window[1:], new)


def with_the_first(step, first, n):
    return np.append(first, run(right_move)(step, first, n))


def a_step_late(step, first, n):
    window = right_move(first, step(first))
    return run(right_move)(step, window, n)


WRONG = {
    "cut_windows": [
        (batch_first, "time comes first"),
        (reshaped, "mixes the windows"),
        (answer_in_the_input, "the answer is in the input"),
        (one_missing, "the last window is missing"),
        (too_late, "one step too late"),
        (no_feature, "the one feature"),
        (side_by_side, "do not overlap"),
        (backwards, "time runs backwards"),
        (x_only, "Expected 2 results"),
    ],
    "scale": [
        (leak, "leaks into the scaling"),
        (each_part, "by its own mean"),
        (variance, "the standard deviation is its root"),
        (training_part_only, "only the training part"),
        (to_0_1, "minimum and maximum"),
        (not_centred, "not subtracted"),
        (sample_std, "ddof=1"),
        (leaking_std, "the standard deviation is that of the whole"),
        (in_place, "changes its argument 'series'"),
    ],
    "free_run_by_hand": [
        (run(lambda window, new: window), "never moves"),
        (run(np.append), "the window grows"),
        (run(lambda window, new: np.append(window[:-1], new)), "the oldest that must go"),
        (run(lambda window, new: np.append(new, window[:-1])), "at the front"),
        (run(lambda window, new: np.roll(window, -1)), "no forecast gets into it"),
        (run(right_move, slice(1, None)), "forecasts: expected a length of 1, got 0"),
        (with_the_first, "return forecasts only"),
        (a_step_late, "the first forecast is missing"),
        (run(lambda w, new: np.append(w[1:-1], [new, new])[-len(w) :]), "overwritten before"),
        (run(lambda window, new: np.array([new])), "n = 4, window (1, 2)"),
    ],
}
