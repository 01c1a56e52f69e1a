"""Is the number of ones among some bits even or odd? Chance is 50 %.

The one task here in which *every* step matters: one bit overlooked, and the answer is a coin toss.
Trained on long sequences alone, none of the networks finds a beginning; so each batch has a length
drawn from 1 to the one that is tested.
"""

from pathlib import Path
from typing import Any

from minirnn.datasets.synthetic import parity
from minirnn.experiments import longlag

TITLE = "even or odd? success against length"
SECONDS = 120
REFERENCE = "50 is chance"
UNIT = "right, %"
LAGS = (5, 10, 20, 40)


def run(
    seed: int = 0,
    out: Path | None = None,
    epochs: int | None = None,
    quick: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train all models for all lags, draw ``parity.png`` into ``out``; returns the score by model
    and lag. epochs: of 100 batches."""
    lags, batches = (LAGS[:1], 3) if quick else (LAGS, 100 * (epochs or 15))
    result = longlag.sweep(
        parity, lags, 2, longlag.percent_right, batches, 0.005, seed, progress, practice=shorter
    )
    baseline = {f"lag {lag}": 100 / 2 for lag in lags}
    if out is not None:
        longlag.draw(out, "parity", result, UNIT, baseline)
    return result | {"without memory": baseline}


def shorter(rng, lag, B):
    """The task with 1 to ``lag`` bits."""
    return parity(rng, int(rng.integers(1, lag + 1)), B)
