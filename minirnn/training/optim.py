"""Optimizers: each changes the parameters in place, given their gradients.

Symbols: p a parameter, g its gradient, lr the learning rate. Every optimizer keeps its running
averages in ``state``, a dictionary by the name of the parameter, and counts its steps in ``steps``.

All take ``weight_decay``: before each step, ``p -= lr * weight_decay * p`` for every p that is a
matrix (biases are left alone). This is the decoupled form (Loshchilov & Hutter 2019): it does not
pass through the running averages.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.engine import threads
from minirnn.engine.jit import in_any_order, jit
from minirnn.engine.memory import for_kernels
from minirnn.protocol import Array, quiet

Arrays: TypeAlias = Mapping[str, Array]
FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}  # what kernels are compiled for


class Optimizer:
    """What the optimizers share: the learning rate ``lr`` and the loop over the parameters."""

    slots: tuple[str, ...] = ()  # names of the running averages
    update: Callable[..., None]  # (p, g, *running averages): change p and them in place

    def __init__(self, lr: float, weight_decay: float) -> None:
        self.lr = checks.number(lr, "lr", 0)
        self.weight_decay = checks.number(weight_decay, "weight_decay", 0)
        self.steps = 0
        self.state: dict[str, dict[str, Array]] = {}

    def __repr__(self) -> str:
        """As it was made: lr, and the options that are not the default."""
        options = [f"lr={self.lr!r}"]
        for name, argument in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, argument.default)
            if name != "lr" and value != argument.default:
                options.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(options)})"

    @quiet
    def step(self, params: Arrays, grads: Arrays) -> None:
        """Change every parameter in place. ``grads`` has the keys and shapes of ``params``.

        Raises TypeError for what is no array of float32 or float64, and ValueError for arrays that
        do not fit, are constant, or stand under two names: such a parameter would move twice.
        """
        params, grads = checks.by_name(params, "params"), checks.by_name(grads, "grads")
        if params.keys() != grads.keys():
            odd = sorted(map(str, params.keys() ^ grads.keys()))
            raise ValueError(f"grads: expected the names of params, but only one of them has {odd}")
        for name, p in params.items():
            self._check(name, p, grads[name])
        check_each_once(params, "params")
        check_each_once(grads, "grads")
        self.steps += 1
        for name, p in params.items():
            if name not in self.state:
                self.state[name] = {slot: np.zeros(p.shape, p.dtype) for slot in self.slots}
            if self.weight_decay and p.ndim > 1:
                p -= self.lr * self.weight_decay * p
            threads.in_pieces(self.update, p, grads[name], *self.state[name].values())

    def _check(self, name: str, p: Array, g: Array) -> None:
        right = type(p) is type(g) is np.ndarray and p.dtype in FLOATS and g.dtype in FLOATS
        if not (right and g.shape == p.shape and p.flags.writeable):
            self._look_closer(name, p, g)
        for slot, a in self.state.get(name, {}).items():
            if a.shape != p.shape or a.dtype != p.dtype:
                expected, got = (f"{checks.shape_text(m.shape)} {m.dtype}" for m in (a, p))
                raise ValueError(
                    f"params[{name!r}]: expected {expected}, like {slot!r} in this optimizer's "
                    f"state, got {got}; a new model needs a new optimizer"
                )
            if not a.flags.writeable:
                raise ValueError(f"state[{name!r}]: expected arrays to change, got a constant")

    def _look_closer(self, name: str, p: Array, g: Array) -> None:
        check_array(p, "params", name)
        check_array(g, "grads", name)
        if p.dtype not in FLOATS:
            if p.dtype.kind == "f":
                raise TypeError(f"params[{name!r}]: expected float32 or float64, got {p.dtype}")
            raise ValueError(f"params[{name!r}]: expected real numbers, got {p.dtype}")
        if g.shape != p.shape:
            expected, got = checks.shape_text(p.shape), checks.shape_text(g.shape)
            raise ValueError(f"grads[{name!r}]: expected shape {expected}, got {got}")
        if not p.flags.writeable:
            raise ValueError(f"params[{name!r}]: expected an array to change, got a constant")


def check_array(a: Any, where: str, name: str) -> None:
    """Raise TypeError unless ``a`` is an array of real numbers, none of them masked."""
    right = isinstance(a, np.ndarray) and a.dtype.kind in "fiub"
    if not right or isinstance(a, np.ma.MaskedArray):
        got = str(a.dtype) if type(a) is np.ndarray else type(a).__name__
        raise TypeError(f"{where}[{name!r}]: expected an array of real numbers, got {got}")


def check_each_once(arrays: Arrays, name: str) -> None:
    """Raise ValueError if two names stand for one array, or for parts of it that overlap."""
    owners = [id(a if a.base is None else a.base) for a in arrays.values()]  # of the memory
    if len(set(owners)) == len(owners):
        return
    named = zip(owners, arrays, strict=True)
    for (owner, one), (other, two) in itertools.combinations(named, 2):
        if owner == other and np.shares_memory(arrays[one], arrays[two]):
            raise ValueError(
                f"{name}: expected different arrays, got one array twice: {one!r} and {two!r}"
            )


class SGD(Optimizer):
    """Stochastic gradient descent: ``p -= lr * g``.

    With momentum (Polyak 1964) ``v = momentum * v + g; p -= lr * v``; with ``nesterov=True``
    ``p -= lr * (g + momentum * v)`` (Sutskever et al. 2013). As in PyTorch, lr stands outside of v.
    """

    slots = ("v",)

    def __init__(
        self, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = checks.number(momentum, "momentum", 0, 1)
        self.nesterov = bool(nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: expected a momentum above 0 with it, got 0")

    def update(self, p: Array, g: Array, v: Array) -> None:
        if self.momentum == 0:
            p -= self.lr * g
            return
        v *= self.momentum
        v += g
        p -= self.lr * (g + self.momentum * v if self.nesterov else v)


class RMSProp(Optimizer):
    """RMSProp (Tieleman & Hinton 2012).

    ``s = decay * s + (1 - decay) * g^2; p -= lr * g / (sqrt(s) + eps)``
    """

    slots = ("s",)

    def __init__(
        self, lr: float = 1e-3, decay: float = 0.9, eps: float = 1e-7, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr, weight_decay)
        self.decay = checks.number(decay, "decay", 0, 1)
        self.eps = checks.number(eps, "eps", 0, low_included=False)

    def update(self, p: Array, g: Array, s: Array) -> None:
        s *= self.decay
        s += (1 - self.decay) * g * g
        p -= self.lr * g / (np.sqrt(s) + self.eps)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): ``s = s + g^2; p -= lr * g / (sqrt(s) + eps)``."""

    slots = ("s",)

    def __init__(self, lr: float = 1e-2, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.eps = checks.number(eps, "eps", 0, low_included=False)

    def update(self, p: Array, g: Array, s: Array) -> None:
        s += g * g
        p -= self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015).

    With k the number of the step, ``m = beta1 * m + (1 - beta1) * g``,
    ``v = beta2 * v + (1 - beta2) * g^2``, and
    ``p -= lr * (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + eps)``.
    """

    slots = ("m", "v")

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(lr, weight_decay)
        self.beta1 = checks.number(beta1, "beta1", 0, 1 - 1e-12)
        self.beta2 = checks.number(beta2, "beta2", 0, 1 - 1e-12)
        self.eps = checks.number(eps, "eps", 0, low_included=False)

    def update(self, p: Array, g: Array, m: Array, v: Array) -> None:
        beta1, beta2, k = self.beta1, self.beta2, self.steps
        rate, v_scale = self.lr / (1 - beta1**k), (1 - beta2**k) ** -0.5
        numbers = beta1, 1 - beta1, beta2, 1 - beta2, rate, v_scale, self.eps
        g = for_kernels(g.astype(p.dtype, copy=False)).ravel()
        flat = np.ravel(p)  # a copy, if p is not contiguous
        adam(flat, g, m.ravel(), v.ravel(), *map(p.dtype.type, numbers))
        if not p.flags.c_contiguous:
            p[...] = flat.reshape(p.shape)


@jit
def adam(p, g, m, v, beta1, new1, beta2, new2, rate, v_scale, eps):
    """A step of Adam for p, g, m, v (N,) in one loop, since reading them takes longer than
    computing."""
    for j in range(len(p)):
        m[j] = beta1 * m[j] + new1 * g[j]
        v[j] = beta2 * v[j] + new2 * g[j] * g[j]
        p[j] -= rate * m[j] / (np.sqrt(v[j]) * v_scale + eps)


def cosine(lr: float, epochs: int, warmup: int = 0) -> Callable[[int], float]:
    """A schedule for ``fit``: up to ``lr`` in ``warmup`` epochs, then down to 0 along a cosine
    (Loshchilov & Hutter 2017)."""
    lr, epochs = checks.number(lr, "lr", 0), checks.size(epochs, "epochs")
    if checks.size(warmup, "warmup", 0) >= epochs:
        raise ValueError(f"warmup: expected 0..{epochs - 1}, fewer than epochs, got {warmup}")

    def schedule(epoch: int) -> float:
        rest = min(1.0, max(0, epoch - warmup) / (epochs - warmup))
        return lr * min(1, (epoch + 1) / (warmup + 1)) * (1 + np.cos(np.pi * rest)) / 2

    return schedule


def step_decay(lr: float, every: int, factor: float = 0.5) -> Callable[[int], float]:
    """A schedule for ``fit``: multiplied by ``factor`` every ``every`` epochs."""
    lr, every = checks.number(lr, "lr", 0), checks.size(every, "every")
    factor = checks.number(factor, "factor", 0, 1)
    return lambda epoch: lr * factor ** (epoch // every)


def clip_grad_value(grads: Arrays, limit: float) -> None:
    """Clip every entry of all gradients, in place, to +-limit. A NaN stays what it is."""
    limit = checks.number(limit, "limit", 0, low_included=False, finite=False)
    _check_gradients(grads)
    _check_changeable(grads)
    for g in grads.values():
        np.clip(g, -limit, limit, out=g)


def clip_grad_norm(grads: Arrays, max_norm: float) -> float:
    """Scale all gradients, in place, so that their joint norm is at most ``max_norm``.

    This keeps the direction (Pascanu et al. 2013). Returns the norm before. If that is not
    finite, the gradients stay as they are, since no scale would make them right; they also do with
    an infinite ``max_norm``. Raises TypeError for gradients that are no arrays of float32 or
    float64, ValueError for constant ones and for one array under two names.
    """
    max_norm = checks.number(max_norm, "max_norm", 0, low_included=False, finite=False)
    _check_gradients(grads)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        norm = _norm(grads, 1.0)
        if not SMALLEST < norm < np.inf:  # perhaps only the squares: try another unit
            largest = float(np.max([0.0, *(np.max(np.abs(g), initial=0) for g in grads.values())]))
            norm = _norm(grads, largest) if np.isfinite(largest) else largest
    if max_norm < norm < np.inf:
        _check_changeable(grads)
        for g in grads.values():
            g *= max_norm / norm
    return norm


SMALLEST = 1e-150  # the square of a smaller norm loses digits, or is 0


def _check_gradients(grads: Any) -> None:
    for name, g in checks.by_name(grads, "grads").items():
        if type(g) is np.ndarray and g.dtype in FLOATS:  # the usual case, quickly
            continue
        check_array(g, "grads", name)
        if g.dtype not in FLOATS:
            raise TypeError(f"grads[{name!r}]: expected float32 or float64, got {g.dtype}")
    check_each_once(grads, "grads")


def _check_changeable(grads: Arrays) -> None:
    for name, g in grads.items():
        if not g.flags.writeable:
            raise ValueError(f"grads[{name!r}]: expected an array to change, got a constant")


def _norm(grads: Arrays, unit: float) -> float:
    scale = 1 / unit if unit > 0 else 1.0
    squares = [sum_of_squares(for_kernels(g).ravel(), scale) for g in grads.values()]
    return unit * float(np.sqrt(sum(squares)))


@in_any_order
def sum_of_squares(g, scale):
    total = 0.0
    for j in range(len(g)):
        total += (g[j] * scale) ** 2
    return total
