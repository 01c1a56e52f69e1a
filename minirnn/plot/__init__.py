"""Pictures. Each function draws on the Axes that it is given, or on new ones, and returns them. No
function calls ``show()``. Lines differ in style as well as in colour, so they also differ in grey.
"""

from minirnn.plot.common import GATES, STYLES, save, style
from minirnn.plot.curves import (
    curves,
    gradient_norms,
    jacobians,
    losses,
    saturation,
    truncation_bias,
)
from minirnn.plot.inside import attention, eigenvalues, error_map, gates, heat
from minirnn.plot.interval import interval
from minirnn.plot.network import unrolled
from minirnn.plot.scores import confusion, history
from minirnn.plot.series import forecast

__all__ = [
    "GATES", "STYLES", "attention", "confusion", "curves", "eigenvalues", "error_map", "forecast",
    "gates", "gradient_norms", "heat", "history", "interval", "jacobians", "losses", "saturation",
    "save", "style", "truncation_bias", "unrolled",
]  # fmt: skip
