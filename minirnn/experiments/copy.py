"""Remember ten symbols over a long pause, and write them down again.

The task and its mark for who remembers nothing are in ``datasets.synthetic.copy_memory``.
"""

import math
from pathlib import Path
from typing import Any

from minirnn.datasets.synthetic import copy_memory
from minirnn.experiments import longlag

TITLE = "ten symbols to be remembered over a pause: success against lag"
SECONDS = 700
REFERENCE = "without memory 0.1733 at lag 100"
UNIT = "cross-entropy, nats a step"
DIGITS = ".4f"
LAGS = (10, 30, 100)


def run(
    seed: int = 0,
    out: Path | None = None,
    epochs: int | None = None,
    quick: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train all models for all lags, draw ``copy.png`` into ``out``; returns the score by model
    and lag. epochs: of 100 batches."""
    lags, batches = (LAGS[:1], 3) if quick else (LAGS, 100 * (epochs or 40))
    result = longlag.sweep(copy_memory, lags, 10, longlag.nats, batches, 0.01, seed, progress)
    baseline = {f"lag {lag}": 10 * math.log(8) / (lag + 20) for lag in lags}
    if out is not None:
        longlag.draw(out, "copy", result, UNIT, baseline)
    return result | {"without memory": baseline}
