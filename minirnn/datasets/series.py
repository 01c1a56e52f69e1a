"""A series in time order: cut into windows, split, scaled, and forecast, without looking ahead.

Axes: T rows of the series in time order, N windows, D columns, R rows of the past that a window
holds, L of them steps of the network's input, H steps ahead, K columns to be forecast, F inputs
that are known in advance. ::

    parts = series.split(values, window=12, horizon=6, difference=12)
    x, target = parts.train.x, parts.train.target  # (L, N, ...), (N, H * K)
    model = mr.Sequential(mr.GRU(x.shape[2], 16), mr.Last(), mr.Linear(16, target.shape[1]))
    mr.fit(model, mr.mse, parts.train.batches(32), mr.Adam(0.01), 100,
           validation=parts.validation.batch(), patience=10)
    own = {"network": forecasts.forecaster(model, parts.about)} | forecasts.naive(season=12)
    for name, result in rolling.compare(own, values, parts.begins[1], horizon=6).items():
        print(name, result.rmse(), result.mae())

Whoever splits by hand makes one of four mistakes (chapter 9 of the notebooks). Here they are not
possible: the parts are in time order, no window is in two of them, what is scaled is scaled by the
training part alone, and a difference is always taken to a row that a forecast may know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.datasets.scaling import Scaler, carry, check_options, fit_scaler, flag
from minirnn.protocol import Array, Numbers, Seed


class Windows(NamedTuple):
    """Windows of one part: each is the input and the target of one forecast."""

    x: Array  # (L, N, ...), scaled: the input of a network
    target: Array  # (N, H * K), scaled: step 1 of each column, step 2, ...
    mask: Array | None  # (N, H * K) bool: which targets are there; None if all are
    rows: Array  # (N,): the row of the series that is the first to be forecast
    past: Array  # (R, N, D): the rows that the window knows, as they are in the series
    future: Array  # (H, N, K): the rows to be forecast; NaN where a value is missing

    def batch(self, at: Any = slice(None)) -> tuple[Any, ...]:
        """All windows, or those of an index, as ``fit`` takes them."""
        if self.mask is None:
            return self.x[:, at], self.target[at]
        return self.x[:, at], self.target[at], None, self.mask[at]

    def batches(self, size: int) -> Callable[[Seed], Iterator[tuple[Any, ...]]]:
        """Shuffled batches for ``fit``: a function that draws the order of an epoch. To shuffle
        windows is right, once the parts are split in time order."""
        size = checks.size(size, "size")

        def epoch(rng: Seed) -> Iterator[tuple[Any, ...]]:
            order = checks.generator(rng).permutation(len(self.rows))
            for k in range(0, len(order), size):
                yield self.batch(order[k : k + size])

        return epoch

    def __repr__(self) -> str:
        a, b = self.rows[0], self.rows[-1]
        return f"Windows({len(self.rows)} of x {self.x.shape}, forecasting from rows {a} to {b} on)"


@dataclass(frozen=True)
class Split:
    """The three parts of a series, and all that a forecast with a trained model needs to know."""

    train: Windows
    validation: Windows
    test: Windows
    about: dict[str, Any]  # as JSON, to be saved with the model
    begins: tuple[int, int]  # the first rows of the validation and the test part


def split(
    values: Numbers, window: int, horizon: int = 1, *, target: Any = None,
    inputs: Numbers | None = None, validation: float = 0.15, test: float = 0.2,
    look_back: bool = False, missing: str = "refuse", scaler: str = "standard", log: bool = False,
    difference: int = 0,
) -> Split:  # fmt: skip
    """Cut a series into windows for training, validation and test, in this order of time.

    values: (T,) or (T, D), one row a time step, the oldest first, all equally far apart.
    window: L, the steps that the network sees. With ``difference`` the window takes as many rows
        more, R = L + difference.
    horizon: H, how many rows are forecast at once.
    target: the columns to be forecast, a number or several; all without it.
    inputs: (T, F), numbers that are known in advance, of the calendar for instance. At each step
        the network sees those of that row and those of H rows later; so L must be at least H.
    validation, test: a share of the rows, or a number of rows.
    look_back: by default no row is in windows of two parts. With True, windows of a later part may
        know rows of the part before it, since they are known by then; what a part forecasts is
        still in that part alone. For short series.
    missing: what to do about NaN. "refuse" them; or "mask": as inputs they are replaced by the row
        ``difference`` before, or the last known one, and one column more for each of values tells
        the network where; as targets they do not count.
    scaler, log, difference: see ``scaling``. It is fitted on windows of the training part.

    Raises TypeError or ValueError for arguments that do not fit, for missing values, a column that
    is constant in the training part, and a part with no room for a window.
    """
    values = as_series(values)
    known = _inputs(inputs, values)
    options = check_options(scaler, log, difference)
    L, H = checks.size(window, "window"), checks.size(horizon, "horizon")
    R, lag = L + options[2], options[2]
    columns = columns_of(target, values.shape[1])
    if known.shape[1] and L < H:
        raise ValueError(f"window: expected at least the horizon {H} with inputs, got {L}")
    look_back = flag(look_back, "look_back")
    whole = filled(values, lag, checks.choice(missing, "missing", ("refuse", "mask")))
    if log:
        checks.one_wrong("values above 0 for the logarithm", "values", values, values <= 0)
    begins = _begins(len(values), validation, test)
    first = int(np.isfinite(whole).all(axis=1).argmax())  # rows before are not known
    origins = _origins(first, len(values), begins, R, H, look_back)
    gaps = np.isnan(values) if missing == "mask" else None
    raw = [_raw(values, whole, columns, at, R, H) for at in origins]
    fitted = fit_scaler(*raw[0], options, columns)
    shift, size = _fit_inputs(known[: begins[0]])
    about = {
        "window": L, "horizon": H, "columns": values.shape[1], "missing": missing,
        "inputs_shift": shift.tolist(), "inputs_size": size.tolist(), "scaler": fitted.as_json(),
    }  # fmt: skip
    known = (known - shift) / size
    parts = [
        _windows(fitted, *pair, at, extra_columns(gaps, known, at, L, H))
        for pair, at in zip(raw, origins, strict=True)
    ]
    return Split(parts[0], parts[1], parts[2], about, begins)


# ---- The steps of ``split`` ---------------------------------------------------------------------


def as_series(values: Numbers, name: str = "values") -> Array:
    """A series as an array (T, D) of float64."""
    array = checks.floats(values, name, np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or 0 in array.shape:
        expected = "(T,) or (T, D), a row for each time step"
        raise ValueError(f"{name}: expected {expected}, got {checks.shape_text(array.shape)}")
    checks.one_wrong("finite numbers or NaN", name, array, np.isinf(array))
    return array


def _inputs(inputs: Numbers | None, values: Array) -> Array:
    """The inputs that are known in advance, (T, F)."""
    if inputs is None:
        return np.empty((len(values), 0))
    known = as_series(inputs, "inputs")
    if len(known) != len(values):
        raise ValueError(f"inputs: expected {len(values)} rows, as of values, got {len(known)}")
    checks.one_wrong("numbers, since they are known in advance", "inputs", known, np.isnan(known))
    return known


def columns_of(target: Any, D: int) -> tuple[int, ...]:
    """The columns to be forecast, of D."""
    if target is None:
        return tuple(range(D))
    given = target if isinstance(target, (list, tuple)) else [target]
    columns = tuple(checks.size(k, "target", 0) for k in given)
    if not columns or len(set(columns)) < len(columns) or max(columns) >= D:
        raise ValueError(f"target: expected different columns in 0..{D - 1}, got {target!r:.80}")
    return columns


def filled(values: Array, lag: int, missing: str, name: str = "values") -> Array:
    """The series without NaN, or ValueError."""
    gaps = np.isnan(values)
    if missing == "refuse" and gaps.any():
        n, at = int(gaps.sum()), tuple(int(k) for k in np.argwhere(gaps)[0])
        raise ValueError(
            f"{name}: expected no missing values, got {n}, the first at {at}; "
            'missing="mask" leaves them out'
        )
    return carry(values, lag)


def _begins(T: int, validation: float, test: float) -> tuple[int, int]:
    """The first rows of the validation and the test part."""
    n = [_rows(share, T, name) for share, name in ((validation, "validation"), (test, "test"))]
    if n[0] + n[1] >= T:
        raise ValueError(
            f"validation, test: expected fewer than the {T} rows of values, got {sum(n)}"
        )
    return T - n[0] - n[1], T - n[1]


def _rows(share: float, T: int, name: str) -> int:
    if isinstance(share, (int, np.integer)):
        return checks.size(share, name)
    rows = round(checks.number(share, name, 0, 1, low_included=False) * T)
    return max(rows, 1)


def _origins(
    first: int, T: int, begins: tuple[int, int], R: int, H: int, look_back: bool
) -> list[Array]:
    """For each part, the rows at which its forecasts begin."""
    edges, origins = (first, *begins, T), []
    for k, name in enumerate(("training", "validation", "test")):
        begin, end = edges[k], edges[k + 1]
        low = max(begin, first + R) if look_back else begin + R
        if low > end - H:
            hint = "" if look_back or k == 0 else ", or look_back=True"
            raise ValueError(
                f"values: expected at least {R + H} rows in each part, for a window of {R} and a "
                f"horizon of {H}; the {name} part has {max(end - begin, 0)} (rows {begin} to "
                f"{end - 1}); choose a shorter window, other shares{hint}"
            )
        origins.append(np.arange(low, end - H + 1))
    return origins


def _raw(
    values: Array, filled: Array, columns: tuple[int, ...], at: Array, R: int, H: int
) -> tuple[Array, Array]:
    """The past (R, N, D) and the future (H, N, K) of the forecasts that begin at these rows."""
    past = filled[at + np.arange(-R, 0)[:, None]]
    return past, values[at + np.arange(H)[:, None]][..., list(columns)]


def _fit_inputs(known: Array) -> tuple[Array, Array]:
    """Mean and standard deviation in the training part; 1 for what is constant there."""
    if known.shape[1] == 0:
        return np.zeros(0), np.ones(0)
    size = known.std(axis=0)
    return known.mean(axis=0), np.where(size > 0, size, 1.0)


def extra_columns(gaps: Array | None, known: Array, at: Array, L: int, H: int) -> Array:
    """The columns of x beside the values: gaps, the known inputs, and those of H rows later."""
    steps = at + np.arange(-L, 0)[:, None]
    columns = [known[steps], known[steps + H]]
    if gaps is not None:
        columns.insert(0, gaps[steps].astype(np.float64))
    return np.concatenate(columns, axis=2)


def _windows(scaler: Scaler, past: Array, future: Array, at: Array, extra: Array) -> Windows:
    """The windows of one part, without those in which no target is known."""
    x = np.concatenate([scaler.inputs(past), extra], axis=2)
    target = scaler.targets(past, future).transpose(1, 0, 2).reshape(len(at), -1)
    there = np.isfinite(target)
    keep = there.any(axis=1)
    if not keep.any():
        raise ValueError("values: expected a part with known values, got missing ones only")
    mask = None if there.all() else there[keep]
    return Windows(
        x[:, keep], np.where(there, target, 0)[keep], mask, at[keep], past[:, keep], future[:, keep]
    )
