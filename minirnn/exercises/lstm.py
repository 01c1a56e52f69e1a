"""The LSTM: one step forward and one step backward."""

import itertools
from collections.abc import Callable

import numpy as np

import minirnn as mr
from minirnn.cells import lstm
from minirnn.engine.jit import plain
from minirnn.exercises.common import Wrong, exercise, judge_against, results

NAMES = {"i": "input gate", "f": "forget gate", "g": "candidate g", "o": "output gate"}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def right_step(x, h_prev, c_prev, W_x, W_h, b):
    layer = mr.LSTM(len(W_x), len(W_h), rng=0)
    return layer.step(x, (h_prev, c_prev), {"W_x": W_x, "W_h": W_h, "b": b})[1]


def step(
    x, h_prev, c_prev, W_x, W_h, b, order="ifgo", i=sigmoid, f=sigmoid, g=np.tanh, o=sigmoid,
    out=np.tanh, bias=1, recurrent=1, keep=None, put=None, show=None, old=False, dealt=False,
    through_c=False,
):  # fmt: skip
    """One step with slips: the right answer without any of the options."""
    a = x @ W_x + recurrent * ((c_prev if through_c else h_prev) @ W_h) + bias * b
    blocks = [a[:, k::4] for k in range(4)] if dealt else np.split(a, 4, axis=1)
    parts = dict(zip(order, blocks, strict=True))
    i, f, g, o = i(parts["i"]), f(parts["f"]), g(parts["g"]), o(parts["o"])
    c = (f if keep is None else keep(i)) * c_prev + (i if put is None else put) * g
    return (o if show is None else show) * out(c_prev if old else c), c


def slip(**options):
    """A step with one slip."""
    return lambda *arguments: step(*arguments, **options)


def identity(a):
    return a


STEP_SLIPS = {
    "the gates i and f are swapped: the columns are in the order i f g o": slip(order="figo"),
    "g and o are swapped: the columns are in the order i f g o, yours i f o g": slip(order="ifog"),
    **{
        f"the columns are taken in the order {' '.join(order)}, they are in i f g o": slip(
            order="".join(order)
        )
        for order in itertools.permutations("ifgo")
        if "".join(order) not in ("ifgo", "figo", "ifog")
    },
    "the candidate g has a sigmoid; it has a tanh": slip(g=sigmoid),
    "the candidate g has no tanh": slip(g=identity),
    "there is no tanh on c: h = o * tanh(c)": slip(out=identity),
    "c is not gated by f: c = f * c_prev + i * g": slip(keep=lambda i: 1),
    "the old c is gated by 1 - i instead of f": slip(keep=lambda i: 1 - i),
    "g is not gated by i: c = f * c_prev + i * g": slip(put=1),
    "h is not gated by o: h = o * tanh(c)": slip(show=1),
    "h uses the old c: h = o * tanh(c) needs the new one": slip(old=True),
    "the bias b is missing in a": slip(bias=0),
    "the product h_prev W_h is missing in a": slip(recurrent=0),
    "W_h is multiplied by c_prev; it must be h_prev": slip(through_c=True),
    "the columns are interleaved, i f g o i f g o; those of a gate must be side by side": slip(
        dealt=True
    ),
    "all four blocks have a sigmoid and h lacks its tanh": slip(g=sigmoid, out=identity),
    "h and c are returned in the wrong order": lambda *arguments: step(*arguments)[::-1],
    **{
        f"the {NAMES[gate]} has a tanh; it has a sigmoid": slip(**{gate: np.tanh}) for gate in "ifo"
    },
    **{f"the {NAMES[gate]} has no sigmoid": slip(**{gate: identity}) for gate in "ifo"},
}

BLOCKS: dict[str, Callable] = {"sigmoid": sigmoid, "tanh": np.tanh, "": identity}


def gate_by_gate(student, x, h_prev, W_x, W_h, b):
    """Which gate does not do what it should: from what c does when c_prev is 0, 1 and 2, and from
    h / tanh(c). Empty if c is not of the form f * c_prev + i * g."""
    a = dict(zip("ifgo", np.split(x @ W_x + h_prev @ W_h + b, 4, axis=1), strict=True))
    hs, cs = [], []
    for held in (0.0, 1.0, 2.0):
        found = student(x, h_prev, np.full_like(h_prev, held), W_x, W_h, b)
        h, c = results(found, {"h": h_prev.shape, "c": h_prev.shape})
        hs.append(h)
        cs.append(c)
    if not np.allclose(cs[2] - cs[1], cs[1] - cs[0]):
        return (
            "  Your c is not of the form f * c_prev + i * g: it is not a straight line in c_prev."
        )
    found = []

    def judge(what, got, right, candidates):
        if np.allclose(got, right):
            return
        row, unit = np.argwhere(~np.isclose(got, right))[0]
        numbers = f"{got[row, unit]:.4g} in row {row}, unit {unit}, right {right[row, unit]:.4g}"
        text = f"{what} is {numbers}"
        for name, value in candidates.items():
            if np.allclose(got, value):
                text += f"; it is {name}"
                break
        found.append(text)

    single = {
        f"{act}(a_{gate})" if act else f"a_{gate}": function(a[gate])
        for act, function in BLOCKS.items()
        for gate in "ifgo"
    }
    pairs = {f"{p} * {q}": single[p] * single[q] for p in single for q in single}
    one = {"1": np.ones_like(a["i"]), "0": np.zeros_like(a["i"])}
    factors = {**one, **{f"1 - {n}": 1 - v for n, v in single.items()}, **single}
    judge("what c_prev is multiplied by, f,", cs[1] - cs[0], sigmoid(a["f"]), factors)
    both = sigmoid(a["i"]) * np.tanh(a["g"])
    judge("what is added to it, i * g,", cs[0], both, {**factors, **pairs})
    shown = hs[2] / np.tanh(cs[2])
    judge("the ratio of h and tanh(c), o,", shown, sigmoid(a["o"]), factors)
    return "  Gate by gate: " + ".\n  ".join(found) + "." if found else ""


@exercise(
    "First a, (B, 4H), as in a vanilla network. Cut it into four blocks of H columns, i f g o. "
    "Which one has another activation than the others?",
    "a_i, a_f, a_g, a_o = np.split(a, 4, axis=1). Sigmoids for i, f and o, a tanh for g. Then "
    "the two lines of the conveyor belt.",
    "a = x @ W_x + h_prev @ W_h + b; i = 1 / (1 + np.exp(-a_i)), f and o in the same way; g = "
    "np.tanh(a_g); c = f * c_prev + i * g; h = o * np.tanh(c); return h, c.",
)
def lstm_step(student: Callable) -> str:
    """``lstm_step(x, h_prev, c_prev, W_x, W_h, b)``: one step of an LSTM; h, c."""
    rng = np.random.default_rng(0)
    B, D, H = 3, 4, 2
    W_x, W_h, b = (rng.normal(size=shape) for shape in ((D, 4 * H), (H, 4 * H), 4 * H))
    x, h_prev, c_prev = (rng.normal(size=(B, n)) for n in (D, H, H))
    no_W = (np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1), 0.8), np.zeros((1, 4)),
            np.zeros((1, 4)))  # fmt: skip

    def biases(i, f, g, o):
        return (*no_W, np.array([i, f, g, o], np.float64))

    cases = {
        "one unit, all weights 0, biases i -20, f 20, g 0.5, o 20 (c must stay 0.8)": (
            biases(-20, 20, 0.5, 20)
        ),
        "one unit, all weights 0, biases i -20, f -20, g 0.5, o 20 (c must be 0)": (
            biases(-20, -20, 0.5, 20)
        ),
        "one unit, all weights 0, biases i 20, f -20, g 0.5, o 20 (c must be tanh 0.5)": (
            biases(20, -20, 0.5, 20)
        ),
        "one unit, all weights 0, biases i 20, f 20, g 0.5, o -20 (h must be 0)": (
            biases(20, 20, 0.5, -20)
        ),
        "one unit, all weights 0, biases i 0.3, f 0.6, g -0.9, o 1.2": biases(0.3, 0.6, -0.9, 1.2),
        "3 rows, 2 units; h_prev, c_prev and b are 0": (x, 0 * h_prev, 0 * c_prev, W_x, W_h, 0 * b),
        "3 rows, 2 units; h_prev and b are 0": (x, 0 * h_prev, c_prev, W_x, W_h, 0 * b),
        "3 rows, 2 units; b is 0": (x, h_prev, c_prev, W_x, W_h, 0 * b),
        "3 rows, 2 units; nothing is 0": (x, h_prev, c_prev, W_x, W_h, b),
    }
    outputs = {"h": ("row", "unit"), "c": ("row", "unit")}
    try:
        return judge_against(student, right_step, cases, STEP_SLIPS, outputs)
    except Wrong as wrong:
        if not unexplained(wrong):
            raise
        more = gate_by_gate(student, x, h_prev, W_x, W_h, b)
        raise Wrong(f"{wrong}\n{more}" if more else str(wrong)) from None


def right_backward(dh, dc, i, f, g, o, c_prev, tanh_c):
    da_o, dc = plain(lstm.hidden_state_backward)(dh, dc, o, tanh_c, True)
    da_i, da_f, da_g, dc_prev = plain(lstm.cell_state_backward)(dc, i, f, g, c_prev, True)
    return np.hstack([da_i, da_f, da_g, da_o]), dc_prev


def back(
    dh, dc, i, f, g, o, c_prev, tanh_c, order="ifgo", through_h=1, handed=1, show=None,
    squash=None, new=True, f_prev=True, d=None, factor=None,
):  # fmt: skip
    """One step back with slips; d, factor: by gate, other derivatives and other factors."""
    before = handed * dc
    through = dh * (o if show is None else show) * (1 - tanh_c**2 if squash is None else squash)
    dc = before + through_h * through
    values = {"i": i, "f": f, "g": g, "o": o}
    slopes = {"i": i * (1 - i), "f": f * (1 - f), "g": 1 - g**2, "o": o * (1 - o)}
    factors = {"i": dc * g, "f": dc * c_prev, "g": dc * i, "o": dh * tanh_c}
    for gate, slope in (d or {}).items():
        slopes[gate] = slope(values[gate])
    factors |= (factor or (lambda *a: {}))(dc, dh, values, c_prev, tanh_c)
    da = {gate: factors[gate] * slopes[gate] for gate in "ifgo"}
    handed_on = (dc if new else before) * (f if f_prev else 1)
    return np.hstack([da[gate] for gate in order]), handed_on


def back_slip(**options):
    """One step back with one slip."""
    return lambda *arguments: back(*arguments, **options)


def unsquared(dh, dc, i, f, g, o, c_prev, tanh_c):
    return back(dh, dc, i, f, g, o, c_prev, tanh_c, squash=1 - tanh_c)


def gated_twice(dh, dc, i, f, g, o, c_prev, tanh_c):
    return back(dh, dc, i, f, g, o, c_prev, tanh_c, handed=f)


def squashed_twice(dh, dc, i, f, g, o, c_prev, tanh_c):
    return back(dh, dc, i, f, g, o, c_prev, tanh_c, squash=1 - np.tanh(tanh_c) ** 2)


BACK_SLIPS = {
    "dc lacks the part through h: add dh * o * (1 - tanh_c^2)": back_slip(through_h=0),
    "the dc from step t+1 is not used; dc begins with it": back_slip(handed=0),
    "dc is multiplied by f at the beginning; step t+1 has done that with its own f": gated_twice,
    "in dc the factor o is missing: dh * o * (1 - tanh_c^2)": back_slip(show=1),
    "in dc the derivative 1 - tanh_c^2 is missing": back_slip(squash=1),
    "dc has 1 - tanh_c, without the square": unsquared,
    "in dc the tanh is taken of tanh_c, which is a tanh already": squashed_twice,
    "dc_prev is dc, without the factor f": back_slip(f_prev=False),
    "dc_prev uses the dc that came in; the part through h has to be added first": (
        back_slip(new=False)
    ),
    "da_i and da_g have each other's factor: di = dc * g, dg = dc * i": back_slip(
        factor=lambda dc, dh, v, c_prev, tanh_c: {"i": dc * v["i"], "g": dc * v["g"]}
    ),
    "da_f has the factor tanh_c; c = f * c_prev + i * g gives it c_prev": back_slip(
        factor=lambda dc, dh, v, c_prev, tanh_c: {"f": dc * tanh_c}
    ),
    "da_o uses dc; o is a factor in h = o * tanh(c), so it gets dh": back_slip(
        factor=lambda dc, dh, v, c_prev, tanh_c: {"o": dc * tanh_c}
    ),
    "da_o uses the dc that came in; o is a factor in h = o * tanh(c), so it gets dh": (
        back_slip(
            factor=lambda dc, dh, v, c_prev, tanh_c: {
                "o": (dc - dh * v["o"] * (1 - tanh_c**2)) * tanh_c
            }
        )
    ),
    "da_g has the derivative of a sigmoid, g (1 - g); that of a tanh is 1 - g^2": back_slip(
        d={"g": lambda g: g * (1 - g)}
    ),
    "da_g has the derivative 1 - tanh(g)^2; g is a tanh already": back_slip(
        d={"g": lambda g: 1 - np.tanh(g) ** 2}
    ),
    "the derivatives of all three sigmoids are missing: s (1 - s)": back_slip(
        d=dict.fromkeys("ifo", np.ones_like)
    ),
    "the derivatives of all four activations are missing": back_slip(
        d=dict.fromkeys("ifgo", np.ones_like)
    ),
    "the sigmoids are taken once more: i, f and o are values of gates already": back_slip(
        d=dict.fromkeys("ifo", lambda s: sigmoid(s) * (1 - sigmoid(s)))
    ),
    **{
        f"da_{gate} lacks the derivative of its activation": back_slip(d={gate: np.ones_like})
        for gate in "ifgo"
    },
    **{
        f"da_{gate} takes the sigmoid once more: {gate} is the value of the gate already": (
            back_slip(d={gate: lambda s: sigmoid(s) * (1 - sigmoid(s))})
        )
        for gate in "ifo"
    },
    **{
        f"da_{gate} has the derivative of a tanh, 1 - {gate}^2; that of a sigmoid is "
        f"{gate} (1 - {gate})": back_slip(d={gate: lambda s: 1 - s**2})
        for gate in "ifo"
    },
    **{
        f"the blocks of da are in the order {' '.join(order)}, not i f g o": back_slip(
            order="".join(order)
        )
        for order in itertools.permutations("ifgo")
        if "".join(order) != "ifgo"
    },
}


@exercise(
    "Begin with h = o * tanh(c): what does it pass on to o, and what to c? Go on to c = f * c_prev "
    "+ i * g only when dc is complete.",
    "da_o = dh * tanh_c * o * (1 - o), and dc = dc + dh * o * (1 - tanh_c**2). Then each factor in "
    "c = f * c_prev + i * g gets dc times the other factor, times its own derivative.",
    "da_i = dc * g * i * (1 - i); da_f = dc * c_prev * f * (1 - f); da_g = dc * i * (1 - g**2); "
    "dc_prev = dc * f; return np.hstack([da_i, da_f, da_g, da_o]), dc_prev.",
)
def lstm_step_backward(student: Callable) -> str:
    """``lstm_step_backward(dh, dc, i, f, g, o, c_prev, tanh_c)``: da (B, 4H), dc_prev (B, H)."""
    rng = np.random.default_rng(1)
    shape = (2, 3)
    dh, dc, g, c_prev = (rng.uniform(-0.9, 0.9, shape) for _ in range(4))
    i, f, o = (rng.uniform(0.1, 0.9, shape) for _ in range(3))
    none, tanh_c = np.zeros(shape), np.tanh(f * c_prev + i * g)
    cases = {
        "dh = 0, f and c_prev = 0 (only da_i and da_g are not zero)": (
            none, dc, i, none, g, o, none, np.tanh(i * g)),
        "dh = 0, i and g = 0 (only da_f and dc_prev are not zero)": (
            none, dc, none, f, none, o, c_prev, np.tanh(f * c_prev)),
        "dh = 0, all gates in use": (none, dc, i, f, g, o, c_prev, tanh_c),
        "dc = 0, i, f and g = 0 (only da_o is not zero)": (
            dh, none, none, none, none, o, none, tanh_c),
        "dc = 0, all gates in use (the gradient comes through h only)": (
            dh, none, i, f, g, o, c_prev, tanh_c),
        "dh and dc, all gates in use": (dh, dc, i, f, g, o, c_prev, tanh_c),
    }  # fmt: skip
    outputs = {"da": ("row", "gate ifgo"), "dc_prev": ("row", "unit")}
    try:
        return judge_against(student, right_backward, cases, BACK_SLIPS, outputs)
    except Wrong as wrong:
        if not unexplained(wrong):
            raise
        raise Wrong(f"{wrong}{wrong_blocks(student, cases)}") from None


def unexplained(wrong: Wrong) -> bool:
    """Whether numbers differ, and it is not known why."""
    return "numbers differ" in str(wrong) and "looks like" not in str(wrong)


def wrong_blocks(student, cases):
    """In words, which of da_i, da_f, da_g, da_o, dc_prev are wrong when dh or dc is zero."""
    lines = []
    for label, what in (("dh = 0, all", "with dh = 0"), ("dc = 0, all", "with dc = 0")):
        case = next(arguments for name, arguments in cases.items() if name.startswith(label))
        right = right_backward(*case)
        da, dc_prev = results(student(*case), {"da": right[0].shape, "dc_prev": right[1].shape})
        parts = np.split(da, 4, 1)
        blocks = dict(zip(("da_i", "da_f", "da_g", "da_o"), parts, strict=True))
        blocks["dc_prev"] = dc_prev
        expected = [*np.split(right[0], 4, 1), right[1]]
        wrong = [n for (n, a), b in zip(blocks.items(), expected, strict=True)
                 if not np.allclose(a, b, rtol=1e-7, atol=1e-10)]  # fmt: skip
        lines.append(f"{', '.join(wrong) or 'nothing'} {what}")
    text = f"\n  All gates in use, wrong are: {'; '.join(lines)}."
    if lines[0].startswith("nothing") and not lines[1].startswith("nothing"):
        text += " So look at how dh goes on to o and to c."
    return text
