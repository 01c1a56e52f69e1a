"""What a layer is: a dictionary of parameters and two functions. There is no base class to inherit;
any object of this form can be trained, stacked and gradient-checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

# The state of a recurrent layer: h, (h, c), for a stack a list with one entry a layer, or None.
State = Any


class Layer(Protocol):
    """One layer or a whole model. Axes: T time, B batch; x is (T, B, D), or what the layer says."""

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        """The parameters by name; optimizers change the arrays in place."""
        ...

    def forward(
        self,
        x: ArrayLike,
        state: State = None,
        lengths: ArrayLike | None = None,
        training: bool = False,
        rng: Any = None,
    ) -> tuple[np.ndarray, State, Any]:
        """Returns y, the final state, and the cache: all that ``backward`` needs to know."""
        ...

    def backward(
        self, dy: ArrayLike | None, cache: Any, dstate: State = None
    ) -> tuple[Any, State, dict[str, np.ndarray]]:
        """Given dy and the gradient of the final state, returns dx (None where x is not real), the
        gradient of the initial state, and those of the parameters, with the keys of ``params``.
        """
        ...
