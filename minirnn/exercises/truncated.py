"""Truncated back-propagation through time: its windows, and training on a stream in pieces."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.exercises.common import Wrong, exercise, judge_against


def _windows(T, k1, k2, low=0, cut=True, whole=False, back="end", shift=0):
    found = []
    for first in range(0, T, k1):
        end = min(first + k1, T) if cut else first + k1
        if whole and first + k1 > T:
            break
        start = {"end": end, "first": first, "block": first + k1}[back]
        found.append((max(start - k2 + shift, low), first, end))
    return found


@exercise(
    "The blocks are 0..k1, k1..2 k1, and so on. Where does the last one end? Then count k2 steps "
    "back from the end of each.",
    "first runs over range(0, T, k1). end = first + k1, but not beyond T. begin = end - k2, but "
    "not before 0.",
    "return [(max(end - k2, 0), first, end) for first in range(0, T, k1) for end in "
    "[min(first + k1, T)]]",
)
def bptt_windows(student: Callable) -> str:
    """``bptt_windows(T, k1, k2)``: a list of (begin, first, end), a window a block."""

    def columns(function):
        """begin, first and end of all windows that a function returns."""

        def split(*arguments):
            found = function(*arguments)
            if not isinstance(found, (list, tuple)):
                raise Wrong(f"Expected a list of windows, got {type(found).__name__}.")
            for window in found:
                if not isinstance(window, (tuple, list)) or len(window) != 3:
                    raise Wrong(
                        f"Expected windows (begin, first, end), three numbers, got {window!r:.60}."
                    )
            return tuple([window[k] for window in found] for k in range(3))

        return split

    for case in ((4, 4, 4), (8, 2, 5)):
        begins, *_ = columns(student)(*case)
        if len(begins) != len(_windows(*case)):
            raise Wrong(
                f"T, k1, k2 = {case}: expected a window for each block of k1 steps, "
                f"{len(_windows(*case))} in all, got {len(begins)}."
            )

    slips: dict[str, dict[str, Any]] = {
        "begin goes below 0: a window cannot begin before the sequence": {"low": -99},
        "the k2 steps are counted back from the first step of the block. They include the "
        "block: count from its end": {"back": "first"},
        "the last block ends after T": {"cut": False},
        "the last window begins where it would if its block were full: count from its own end": {
            "back": "block"
        },
        "the last block, which is shorter, is left out": {"whole": True},
        "every window is one step too short": {"shift": 1},
        "every window is one step too long": {"shift": -1},
    }
    known: dict[str, Callable] = {
        text: functools.partial(_windows, **how) for text, how in slips.items()
    }
    known["end is the last step of the block: for a slice it must be the step after the last"] = (
        lambda *case: [(begin, first, end - 1) for begin, first, end in _windows(*case)]
    )
    known["begin and first are in each other's place: (begin, first, end)"] = lambda *case: [
        (first, begin, end) for begin, first, end in _windows(*case)
    ]
    known["k2 is not used: each window is its block alone"] = lambda T, k1, k2: _windows(T, k1, k1)
    return judge_against(
        columns(student),
        columns(_windows),
        {
            "T = 4, k1 = k2 = 4: one window": (4, 4, 4),
            "T = 6, k1 = k2 = 2: chunks": (6, 2, 2),
            "T = 6, k1 = 1, k2 = 3": (6, 1, 3),
            "T = 8, k1 = 2, k2 = 5": (8, 2, 5),
            "T = 7, k1 = 3, k2 = 4: the last block is shorter": (7, 3, 4),
            "T = 3, k1 = 5, k2 = 9: a block longer than the sequence": (3, 5, 9),
        },
        {text: columns(slip) for text, slip in known.items()},
        {"begin": ("window",), "first": ("window",), "end": ("window",)},
    )


def _stream(model, loss_fn, x, target, k, optimizer, state="on", learn="piece", whole=False):
    losses, now, total = [], None, dict.fromkeys(model.params, 0.0)
    for t in range(0, len(x), k):
        if whole and t + k > len(x):
            break
        y, final, cache = model.forward(x[t : t + k], now)
        loss, dy = loss_fn(y, target[t : t + k])
        _, _, grads = model.backward(dy, cache)
        total = {name: total[name] + g for name, g in grads.items()}
        losses.append(loss)
        now = {"on": final, "reset": None, "first": final if now is None else now}[state]
        if learn == "piece":
            optimizer.step(model.params, grads)
        elif learn == "sums":
            optimizer.step(model.params, total)
    if learn == "end":
        optimizer.step(model.params, total)
    return losses


@exercise(
    "A loop over t = 0, k, 2 k, ... In each pass: forward, loss, backward, one step of the "
    "optimizer. What does one pass of the loop need from the one before it?",
    "Before the loop state = None. In it: y, state, cache = model.forward(x[t : t + k], state). "
    "The backward pass gets no dstate: that is the truncation.",
    "loss, dy = loss_fn(y, target[t : t + k]); _, _, grads = model.backward(dy, cache); "
    "optimizer.step(model.params, grads); losses.append(loss).",
)
def train_stream(student: Callable) -> str:
    """``train_stream(model, loss_fn, x, target, k, optimizer)``: the losses of the pieces."""

    def weights(losses, model, *_):
        return losses, model.params["0.W_h"]

    def with_weights(**how):
        def run(model, *arguments):
            model, *rest = copy.deepcopy((model, *arguments))
            return weights(_stream(model, *rest, **how), model)

        return run

    rng = np.random.default_rng(0)
    model = mr.Sequential(mr.RNN(1, 3, rng=rng), mr.Linear(3, 1, rng=rng))
    x, target = rng.normal(size=(2, 8, 2, 1))

    def case(T: int, k: int, lr: float) -> tuple[Any, ...]:
        return model, mr.mse, x[:T], target[:T], k, mr.SGD(lr)

    slips: dict[str, dict[str, Any]] = {
        "every piece begins with a zero state: pass the final state of one on to the next": {
            "state": "reset"
        },
        "the state stays that of the first piece's end: assign it in every pass of the loop": {
            "state": "first"
        },
        "the optimizer never makes a step": {"learn": "never"},
        "the optimizer makes one step at the end, not one after each piece": {"learn": "end"},
        "the gradients of earlier pieces are added to those of the latest": {"learn": "sums"},
        "the last piece, which is shorter, is left out": {"whole": True},
    }
    return judge_against(
        functools.partial(student, also=weights),
        with_weights(),
        {
            "T = 4, k = 4, one piece, learning rate 0": case(4, 4, 0.0),
            "T = 4, k = 2, two pieces, learning rate 0": case(4, 2, 0.0),
            "T = 8, k = 2, four pieces, learning rate 0": case(8, 2, 0.0),
            "T = 4, k = 4, one piece, learning rate 0.1": case(4, 4, 0.1),
            "T = 8, k = 2, learning rate 0.1": case(8, 2, 0.1),
            "T = 8, k = 3, the last piece is shorter": case(8, 3, 0.1),
        },
        {text: with_weights(**how) for text, how in slips.items()},
        {"the list of losses": ("piece",), "W_h after training": ("row", "column")},
    )
