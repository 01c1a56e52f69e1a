"""The first steps: time first, and how many numbers an LSTM has to learn."""

from collections.abc import Callable

import numpy as np

import minirnn as mr
from minirnn.exercises.common import Wrong, exercise, judge_against, results


@exercise(
    "The numbers stay as they are; two of the three axes change places. Which two?",
    "Reshape keeps the numbers in their order in memory, and so mixes sequences with steps. Look "
    "for a function of numpy that exchanges axes: the new array at [t, b] is x[b, t].",
    "Axes 0 and 1 change places, axis 2 stays: x.transpose(1, 0, 2), or np.swapaxes(x, 0, 1).",
)
def time_first(student: Callable) -> str:
    """``time_first(x)``: sequences x (B, T, D), one after the other, as (T, B, D)."""

    def right(x):
        return np.transpose(x, (1, 0, 2))

    sizes = {
        "one sequence of one step": (1, 1, 3),
        "one sequence": (1, 3, 1),
        "as many sequences as steps": (2, 2, 1),
        "two sequences of three steps, one feature": (2, 3, 1),
        "two sequences of three steps, three features": (2, 3, 3),
        "two sequences of three steps, four features": (2, 3, 4),
    }
    cases = {}
    for label, size in sizes.items():
        b, t, d = np.indices(size)
        text = f"{label} (B, T, D) = {size}, where x[b, t, d] is 100 b + 10 t + d"
        cases[text] = (100.0 * b + 10 * t + d,)
    return judge_against(
        student,
        right,
        cases,
        {
            "reshape. The shape is right, but numbers keep their order in memory, so that the "
            "first row of the result is filled with steps of the first sequence alone. Axes have "
            "to change places": lambda x: x.reshape(x.shape[1], x.shape[0], x.shape[2]),
            "axes 0 and 2 change places, as with x.T: (D, T, B). D has to stay last": lambda x: x.T,
            "axes 1 and 2 change places: (B, D, T)": lambda x: np.swapaxes(x, 1, 2),
            "the axes are rotated: (T, D, B)": lambda x: np.transpose(x, (1, 2, 0)),
            "the axes are rotated: (D, B, T)": lambda x: np.transpose(x, (2, 0, 1)),
            "x as it is: (B, T, D)": lambda x: x,
            "the axes are right, but time runs backwards": lambda x: right(x)[::-1],
            "the axes are right, but the sequences are in reverse order": lambda x: right(x)[
                :, ::-1
            ],
        },
        {"result": ("step t", "sequence", "feature")},
    )


TERMS = ("1", "D", "H", "D H", "H^2", "D^2")
MEANING = {
    "D H": "W_x is (D, 4H): 4 D H numbers",
    "H^2": "W_h is (H, 4H): 4 H^2 numbers",
    "H": "b is (4H,): 4 H numbers, one bias a gate and unit",
    "1": "there is no constant",
    "D": "nothing grows with D alone",
    "D^2": "no matrix goes from the inputs to the inputs",
}
KNOWN: dict[tuple[float, ...], str] = {
    (0, 0, 1, 1, 1, 0): "one gate only; an LSTM has four, i, f, g, o, each with its own columns",
    (0, 0, 3, 3, 3, 0): "three gates: the candidate g has weights too, as many as i, f and o "
    "(three blocks is a GRU)",
    (0, 0, 4, 4, 0, 0): "the input part alone; W_h, from the state of the step before, is missing",
    (0, 0, 8, 4, 4, 0): "two biases, as PyTorch has them. Only their sum matters; here is only one",
    (0, 0, 0, 4, 4, 0): "the two matrices; the bias b is missing",
    (0, 4, 0, 4, 0, 4): "D and H are exchanged: W_h goes from H units to H units",
    (0, 0, 1, 4, 4, 0): "the bias is counted once, not for each of the four gates",
    (0, 0, 7, 4, 4, 0): "with peepholes, three more weights for each unit; here there are none",
}


@exercise(
    "Three arrays: W_x for the input, W_h for the state, b. Write down the shape of each.",
    "For one gate the shapes are (D, H), (H, H) and (H,). How many gates are there?",
    "Four gates i, f, g, o of D H + H H + H numbers each: 4 * (D * H + H * H + H).",
)
def lstm_size(student: Callable) -> str:
    """``lstm_size(D, H)``: the number of parameters of an LSTM with D inputs and H units."""
    cases = [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 3), (5, 2), (3, 7)]
    # Which polynomial in D and H does the student compute? The right one is 4 H + 4 D H + 4 H^2.
    got = []
    for D, H in cases:
        (value,) = results(student(D, H), {f"The number for D = {D}, H = {H}": ()})
        if not np.isfinite(value):
            raise Wrong(f"Expected a number of weights for D = {D}, H = {H}, got {value}.")
        got.append(float(value))
    right = [sum(p.size for p in mr.LSTM(D, H, rng=0).params.values()) for D, H in cases]
    if np.array_equal(got, right):
        return f"({len(cases)} sizes, counted in mr.LSTM)"
    k = int(np.argmax(np.array(got) != right))
    message = f"D = {cases[k][0]}, H = {cases[k][1]}: yours {got[k]:g}, right {right[k]}."
    table = np.array([(1, D, H, D * H, H * H, D * D) for D, H in cases], float)
    found = np.linalg.lstsq(table, np.array(got), rcond=None)[0]
    if not np.allclose(table @ found, got, atol=1e-6):
        raise Wrong(f"{message}\n  Add up the sizes of W_x, W_h and b: each is a product.")
    found = np.array([round(float(c), 6) + 0.0 for c in found])  # no -0
    whole = " + ".join(f"{c:g} {term}" for c, term in zip(found, TERMS, strict=True) if c)
    message += f"\n  You count {whole or '0'}."
    known = KNOWN.get(tuple(found.tolist()))
    if known:
        raise Wrong(f"{message} It looks like this: {known}.")
    wrong = [
        f"{c:g} {term}, expected {w:g}: {MEANING[term]}"
        for c, term, w in zip(found, TERMS, (0, 0, 4, 4, 4, 0), strict=True)
        if c != w
    ]
    raise Wrong("\n  ".join([message, *wrong]))
