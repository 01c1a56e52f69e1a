"""LSTMs with one thing taken away (Greff et al. 2017, arXiv:1503.04069): what does each part do?

From the LSTM with peepholes, "V", each variant leaves out one thing; compare ``cells/lstm.py``::

    NIG   no input gate             i = 1
    NFG   no forget gate            f = 1
    NOG   no output gate            o = 1
    NIAF  no input activation       g = a_g
    NOAF  no output activation      h = o * c
    CIFG  coupled gates             f = 1 - i
    NP    no peepholes

There is no new loop: each is an LSTM whose parameters are fixed or tied. A gate is 1 if its weights
are 0 and its bias is large, since sigmoid(50) is 1 to the last bit. And since 1 - sigmoid(a) =
sigmoid(-a), the forget gate is coupled if its weights are those of the input gate, negated. The map
from the variant's parameters to the LSTM's is linear (plus the fixed bias). The gradient goes back
through it: that of a fixed gate is dropped, that of the coupled gate is subtracted from the input
gate's.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.cells.lstm import LSTM
from minirnn.protocol import Backward, LSTMState, Numbers, Seed

Variant = Literal["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
FIXED = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}  # the gate that has no weights of its own
ONE = 50.0  # bias of a gate that is always 1


class LSTMVariant(LSTM):
    """An LSTM layer as in ``minirnn.LSTM``, of one of the ``VARIANTS``.

    Parameters as there, without the columns and the peephole of a gate that is left out: ``W_x``
    (D, 3H), ``W_h`` (H, 3H), ``b`` (3H,) for three of the four gates, in the order i, f, g, o.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        variant: Variant,
        forget_bias: float = 1.0,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        checks.choice(variant, "variant", VARIANTS)
        super().__init__(input_size, hidden_size, forget_bias, variant != "NP", rng, dtype)
        self.variant = variant
        self.tanhs = (variant != "NIAF", variant != "NOAF")
        self.fixed = FIXED.get(variant)
        self.tied = variant == "CIFG"
        self.gates = tuple(g for g in "ifgo" if g != self.fixed)
        # (4H,) bool: which of the LSTM's columns are parameters of the variant.
        self.own = np.repeat([g != self.fixed for g in "ifgo"], self.hidden_size)
        self.lstm_shapes = self.param_shapes
        self.params = self._shrink(self.params)
        self.param_shapes = {name: p.shape for name, p in self.params.items()}

    def _shrink(self, lstm):
        """Leave out what is no parameter of the variant; ``_expand`` is the way back."""
        return {
            name: p[..., self.own] if p.shape[-1] == len(self.own) else p
            for name, p in lstm.items()
            if name != f"p_{self.fixed}"
        }

    def _expand(self, params):
        """The parameters of the LSTM that is this variant, of any dtype."""
        full, H = {}, self.hidden_size
        for name, shape in self.lstm_shapes.items():
            if shape[-1] != len(self.own):  # a peephole
                full[name] = params.get(name, -params["p_i"] if self.tied else np.zeros(H))
                continue
            full[name] = np.zeros(shape, params[name].dtype)
            full[name][..., self.own] = params[name]
            if self.tied:
                full[name][..., ~self.own] = -params[name][..., :H]
            elif name == "b":
                full[name][~self.own] = ONE
        return full

    def _step(self, params, x, h_prev, c_prev):
        return super()._step(self._expand(params), x, h_prev, c_prev)

    def _lstm_params(self):
        checks.params(self, self.param_shapes)
        return [p.astype(self.dtype, copy=False) for p in self._expand(self.params).values()]

    def backward(self, dy: Numbers | None, cache: Any, dstate: LSTMState | None = None) -> Backward:
        """As for an LSTM; the gradients are those of the variant's own parameters."""
        dx, dstate, lstm = super().backward(dy, cache, dstate)
        grads, H = self._shrink(lstm), self.hidden_size
        if self.tied:
            for name in ("W_x", "W_h", "b"):
                grads[name][..., :H] -= lstm[name][..., H : 2 * H]
            grads["p_i"] -= lstm["p_f"]
        return dx, dstate, grads
