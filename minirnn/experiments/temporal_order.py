"""In which order came the two symbols, X or Y each, among noise?

See ``datasets.synthetic.temporal_order``. Four classes: chance is 25 %.
"""

from pathlib import Path
from typing import Any

from minirnn.datasets.synthetic import temporal_order
from minirnn.experiments import longlag

TITLE = "the order of two symbols among noise: success against lag"
SECONDS = 180
REFERENCE = "lag 50: LSTM 100, tanh RNN 25"
UNIT = "right, %"
LAGS = (20, 50, 100)


def run(
    seed: int = 0,
    out: Path | None = None,
    epochs: int | None = None,
    quick: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train all models for all lags, draw ``temporal-order.png`` into ``out``; returns the score by
    model and lag. epochs: of 100 batches."""
    lags, batches = (LAGS[:1], 3) if quick else (LAGS, 100 * (epochs or 10))
    result = longlag.sweep(
        temporal_order, lags, 4, longlag.percent_right, batches, 0.005, seed, progress
    )
    baseline = {f"lag {lag}": 100 / 4 for lag in lags}
    if out is not None:
        longlag.draw(out, "temporal-order", result, UNIT, baseline)
    return result | {"without memory": baseline}
