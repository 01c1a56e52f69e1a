"""After recurrent networks: a causal convolution, its reach, and a causal mask."""

from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import Wrong, exercise, judge_against, results


def conv(x, W, dilation, sign=1, reverse=False, pad="zeros"):
    T, B, _ = x.shape
    y = np.zeros((T, B, W.shape[2]))
    for k in range(len(W)):
        tap = W[len(W) - 1 - k] if reverse else W[k]
        for t in range(T):
            s = t - sign * k * dilation
            if pad == "first":
                s = max(s, 0)
            if pad == "around":
                s %= T
            if 0 <= s < T:
                y[t] += x[s] @ tap
    return y


def right_conv(x, W, dilation):
    return conv(x, W, dilation)


@exercise(
    "Tap k looks k * dilation steps back. At which steps t is there anything to look at?",
    "Begin with zeros (T, B, H). For each tap k add x, moved k * dilation steps later, times W[k]; "
    "the first k * dilation steps get nothing from it.",
    "back = k * dilation; y[back:] += x[: T - back] @ W[k], as long as back < T.",
)
def causal_conv(student: Callable) -> str:
    """``causal_conv(x, W, dilation)``: x (T, B, D), W (K, D, H), to (T, B, H), zeros before."""
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(6, 2, 3)), rng.normal(size=(3, 3, 2))
    pulse = np.zeros((5, 1, 1))
    pulse[1] = 1
    taps = np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    cases = {
        "one tap: y[t] = x[t] W[0]": (x, W[:1], 1),
        "a single 1 at step 1, taps 1 and 10, dilation 1": (pulse, taps[:2], 1),
        "a single 1 at step 1, taps 1, 10 and 100, dilation 1": (pulse, taps, 1),
        "a single 1 at step 1, taps 1 and 10, dilation 2": (pulse, taps[:2], 2),
        "random numbers, three taps, dilation 2": (x, W, 2),
        "a tap that looks back beyond the beginning, dilation 4": (x, W, 4),
        "all taps but the first beyond the beginning, dilation 9": (x, W, 9),
    }
    mistakes = {
        "it sees the future: tap k looks k * dilation steps ahead": lambda x, W, d: conv(
            x, W, d, -1
        ),
        "the taps are in reverse order: W[0] belongs to the step itself": lambda x, W, d: conv(
            x, W, d, reverse=True
        ),
        "the dilation is not used": lambda x, W, d: conv(x, W, 1),
        "there are zeros before the beginning, not the first input again": lambda x, W, d: conv(
            x, W, d, pad="first"
        ),
        "the beginning sees the end: the sequence is treated as a ring": lambda x, W, d: conv(
            x, W, d, pad="around"
        ),
        "only the first tap is used": lambda x, W, d: conv(x, W[:1], d),
        "the first tap, which belongs to the step itself, is left out": lambda x, W, d: (
            conv(x, W, d) - conv(x, W[:1], d)
        ),
    }
    return judge_against(student, right_conv, cases, mistakes, {"y": ("step t", "row", "unit")})


@exercise(
    "One layer with 2 taps and dilation d adds how many steps to what is seen without it?",
    "Each layer adds (kernel - 1) * dilation steps. Without any layer one step is seen.",
    "1 + (kernel - 1) * sum(dilations).",
)
def receptive_field(student: Callable) -> str:
    """``receptive_field(kernel, dilations)``: steps seen, the present one among them."""
    cases = {
        "no layer at all": (2, []),
        "one layer, 2 taps, dilation 1": (2, [1]),
        "one layer, 2 taps, dilation 5": (2, [5]),
        "one layer, 4 taps, dilation 1": (4, [1]),
        "2 taps, dilations 1, 2, 4, 8": (2, [1, 2, 4, 8]),
        "3 taps, dilations 1, 3": (3, [1, 3]),
    }
    mistakes = {
        "the present step is not counted": lambda K, d: (K - 1) * sum(d),
        "K taps reach back K - 1 times the dilation, not K times": lambda K, d: 1 + K * sum(d),
        "K taps reach back K - 1 times the dilation, not once": lambda K, d: 1 + sum(d),
        "the present step is counted once for each layer": lambda K, d: len(d) + (K - 1) * sum(d),
        "the dilations are not used": lambda K, d: 1 + (K - 1) * len(d),
        "only the last layer is counted": lambda K, d: 1 + (K - 1) * (d[-1] if d else 0),
        "kernel * dilation is not what a layer adds": lambda K, d: K * sum(d),
        "kernel ** layers holds for dilations 1, K, K**2, ... only": lambda K, d: K ** len(d),
        "reaches add up, they do not multiply": lambda K, d: int(
            np.prod([1 + (K - 1) * n for n in d])
        ),
    }
    return judge_against(
        student, lambda K, d: 1 + (K - 1) * sum(d), cases, mistakes, {"steps seen": ()}
    )


@exercise(
    "Row t is the step that looks, column s the one looked at. It may look at itself and before.",
    "Compare two ranges, one as a column and one as a row: (T, 1) against (T,) gives (T, T).",
    "np.arange(T)[:, None] >= np.arange(T).",
)
def causal_mask(student: Callable) -> str:
    """``causal_mask(T)``: (T, T) bool, True where step t (row) may look at step s (column)."""

    def right(T):
        return np.arange(T)[:, None] >= np.arange(T)

    mistakes = {
        "the present step itself is left out": lambda T: np.arange(T)[:, None] > np.arange(T),
        "rows and columns are swapped: it looks into the future": lambda T: right(T).T,
        "it is True where it must be False, and False where it must be True": lambda T: ~right(T),
        "nothing is masked": lambda T: np.ones((T, T), bool),
        "each step looks only at itself": lambda T: np.eye(T, dtype=bool),
    }
    cases = {"T = 1": (1,), "T = 2": (2,), "T = 5": (5,)}
    found = student(2)
    results(found, {"mask": (2, 2)})
    if np.asarray(found).dtype.kind != "b":
        raise Wrong("It has numbers, not True and False, and ~mask would be wrong: use dtype=bool.")
    return judge_against(student, right, cases, mistakes, {"mask": ("step t", "column s")})
