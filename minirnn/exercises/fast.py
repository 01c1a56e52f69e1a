"""Making it fast: products of all time steps at once. The checkers count the products."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.exercises.common import Wrong, exercise, judge_against

PRODUCTS = (np.dot, np.einsum, np.inner, np.tensordot, np.vdot)


class Counted(np.ndarray):
    """An array that records each product it is a factor of: the factors' names, their most axes,
    and whether it is one of matrices, not number by number."""

    name: str | None = None
    products: list[tuple[list[str], int, bool]] | None = None

    def __array_finalize__(self, other):
        self.name, self.products = getattr(other, "name", None), getattr(other, "products", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if ufunc in (np.matmul, np.multiply):
            self._note(ufunc is np.matmul, inputs)
        given = {} if out is None else {"out": _plain(out)}
        result = getattr(ufunc, method)(*_plain(inputs), **given, **options)
        return self._wrapped(result, None) if out is None else out[0]

    def __array_function__(self, function, types, arguments, options):
        if function in PRODUCTS:
            self._note(True, arguments)
        result = function(*_plain(arguments), **_plain(options))
        names = [a.name for a in arguments if isinstance(a, Counted)]
        keeps = len(names) == 1 and function not in PRODUCTS
        return self._wrapped(result, names[0] if keeps else None)

    def dot(self, other, out=None):
        return np.dot(self, other, out)

    def _note(self, is_product, factors):
        names = [a.name for a in factors if isinstance(a, Counted) and a.name]
        if names and (is_product or "W_x" in names):
            self.products.append((names, max(np.ndim(a) for a in factors), is_product))

    def _wrapped(self, result, name):
        if not isinstance(result, np.ndarray):
            return result
        result = result.view(Counted)
        result.name, result.products = name, self.products
        return result


def _plain(value: Any) -> Any:
    if isinstance(value, Counted):
        return np.asarray(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return value


def products_of(student: Callable, **arguments: np.ndarray) -> list[tuple[list[str], int, bool]]:
    """The products that a student's function makes of these arrays, as ``Counted`` notes them."""
    made: list[tuple[list[str], int, bool]] = []
    watched = []
    for name, a in arguments.items():
        array = a.view(Counted)
        array.name, array.products = name, made
        watched.append(array)
    student(*watched)
    return made


def draw(T, B, D=3, H=4, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"x": (T, B, D), "h0": (B, H), "W_x": (D, H), "W_h": (H, H), "b": (H,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def forward(
    x, h0, W_x, W_h, b, bias=1, carried=True, swapped=False, act=np.tanh, flat=False, turned=False
):
    """The right answer, and with other values of the options some wrong ones."""
    (T, B, D), H = x.shape, len(b)
    x = x.transpose(1, 0, 2) if turned else x
    xW = x.reshape(T * B, D) @ W_x
    if not flat:
        xW = xW.reshape((B, T, H) if swapped else (T, B, H))
    if swapped:
        xW = xW.transpose(1, 0, 2)
    h = [h0]
    for t in range(T):
        h.append(act(xW[t] + (h[-1] if carried else h0) @ W_h + bias * b))
    return np.array(h)


@exercise(
    "Which part of a[t] = x[t] W_x + h[t-1] W_h + b does not have to wait for the step before?",
    "Before the loop: x as one matrix of T * B rows, times W_x. (`x @ W_x` with three axes is one "
    "call too, but of T small products.) In the loop only xW[t], h[t] @ W_h and b.",
    "xW = (x.reshape(T * B, D) @ W_x).reshape(T, B, H); h = np.empty((T + 1, B, H)); h[0] = h0; "
    "in the loop h[t + 1] = np.tanh(xW[t] + h[t] @ W_h + b); return h.",
)
def rnn_forward_fast(student: Callable) -> str:
    """``rnn_forward_fast(x, h0, W_x, W_h, b)``: h (T+1, B, H), x W_x of all steps as one product.

    x (T, B, D), h0 (B, H), W_x (D, H), W_h (H, H), b (H,).
    """

    def case(T, B, zero=()):
        drawn = draw(T, B)
        return tuple(a * 0 if name in zero else a for name, a in drawn.items())

    found = judge_against(
        student,
        forward,
        {
            "one step, one row, zero state, zero bias": case(1, 1, ("h0", "b")),
            "one step, one row, zero state, with a bias": case(1, 1, ("h0",)),
            "one step, one row, the initial state h0 not zero": case(1, 1),
            "two steps, one row, zero state, zero bias": case(2, 1, ("h0", "b")),
            "two steps, one row": case(2, 1),
            "one step, two rows": case(1, 2),
            "three steps, two rows": case(3, 2),
        },
        {
            "the bias is added twice, before the loop and in it": lambda *a: forward(*a, bias=2),
            "the bias is missing": lambda *a: forward(*a, bias=0),
            "the state is not passed on: every step starts from h0": lambda *a: forward(
                *a, carried=False
            ),
            "the rows of x W_x are reshaped to (B, T, H): after reshape(T * B, D) they run "
            "through the batch first, so it must be reshape(T, B, H)": lambda *a: forward(
                *a, swapped=True
            ),
            "x W_x is not reshaped to (T, B, H): with T * B rows, xW[t] is one row, not those of "
            "step t": lambda *a: forward(*a, flat=True),
            "x is transposed to (B, T, D) before the product, but its rows are reshaped to (T, B, "
            "H)": lambda *a: forward(*a, turned=True),
            "h0 is not used: the loop starts from zeros, and h[0] is zero": lambda x, h0, *a: (
                forward(x, 0 * h0, *a)
            ),
            "the steps of x are taken in the reverse order": lambda x, *a: forward(x[::-1], *a),
            "tanh is missing": lambda *a: forward(*a, act=lambda v: v),
            "W_h is transposed": lambda x, h0, W_x, W_h, b: forward(x, h0, W_x, W_h.T, b),
            "h0 is missing from the result, which must have T + 1 entries, h[0] the initial "
            "state": lambda *a: forward(*a)[1:],
            "only the last state is returned; return all T + 1": lambda *a: forward(*a)[-1],
        },
        {"h": ("step index t", "row", "unit")},
    )
    T = 6
    made = products_of(student, **draw(T, 2))
    with_x = sum("W_x" in names for names, *_ in made)
    with_h = sum("W_h" in names for names, *_ in made)
    if with_x == 0:
        raise Wrong(
            "The numbers are right, but no product with W_x was seen. Multiply W_x as it is given, "
            "with x of all steps, and not joined with W_h."
        )
    if not any(is_product and "W_x" in names for names, _, is_product in made):
        raise Wrong(
            "The numbers are right, but x and W_x are multiplied number by number, and added up "
            "afterwards. A matrix product (@) does both at once."
        )
    if with_x > 1:
        loop = "it is still inside the loop" if with_x >= T else "it is made in pieces"
        raise Wrong(
            f"The numbers are right, but for {T} steps W_x is in {with_x} products: {loop}. "
            "x is known from the beginning, so one product for all steps will do."
        )
    if with_h > T:
        raise Wrong(
            f"The numbers are right, and W_x is in one product. But for {T} steps W_h is in "
            f"{with_h}: one a step will do, for all rows of the batch."
        )
    return f"{found} One call with W_x for {T} steps."


def gradient(h, da, first=0, mean=None):
    """The right dW_h, and with other values of the options some wrong ones."""
    T, _, H = da.shape
    total = h[first : first + T].reshape(-1, H).T @ da.reshape(-1, H)
    return total / {None: 1, "all": da[..., 0].size, "steps": T, "rows": da.shape[1]}[mean]


@exercise(
    "Stack the rows of all steps and of the whole batch under each other: what is a sum over t and "
    "rows of outer products, then?",
    "One matrix of T * B rows from h[:-1], one from da, and one product: which of them is "
    "transposed?",
    "return h[:-1].reshape(-1, H).T @ da.reshape(-1, H), with H = da.shape[2].",
)
def weight_gradient(student: Callable) -> str:
    """``weight_gradient(h, da)``: dW_h (H, H) of all steps as one product.

    h (T+1, B, H) with h[0] the initial state, da (T, B, H).
    """

    def case(T, B, H=3):
        rng = np.random.default_rng(1)
        return rng.normal(size=(T + 1, B, H)), rng.normal(size=(T, B, H))

    def reshaped(h, da):  # instead of a transpose
        return h[:-1].reshape(da.shape[2], -1) @ da.reshape(-1, da.shape[2])

    found = judge_against(
        student,
        gradient,
        {
            "one step, one row": case(1, 1),
            "one step, two rows": case(1, 2),
            "two steps, one row": case(2, 1),
            "four steps, five rows": case(4, 5),
        },
        {
            "h[1:] instead of h[:-1]: da[t] belongs to the state *before* step t, h[t]": (
                lambda h, da: gradient(h, da, 1)
            ),
            "the transpose of dW_h, da^T h: the row of W_h belongs to h": (
                lambda h, da: gradient(h, da).T
            ),
            "the mean over steps and rows instead of the sum": (
                lambda h, da: gradient(h, da, mean="all")
            ),
            "the mean over the steps instead of the sum": (
                lambda h, da: gradient(h, da, mean="steps")
            ),
            "the mean over the rows of the batch instead of the sum": (
                lambda h, da: gradient(h, da, mean="rows")
            ),
            "the rows of the batch are added up before the product; but the product of two sums is "
            "not the sum of the products": lambda h, da: h[:-1].sum(axis=1).T @ da.sum(axis=1),
            "the sign is wrong": lambda h, da: -gradient(h, da),
            "reshape(H, ...) instead of a transpose: reshape keeps the order of the numbers in "
            "memory and only moves the line breaks": reshaped,
            "h[:-1].T also exchanges steps and rows: bring h to two axes first, then transpose": (
                lambda h, da: h[:-1].T.reshape(da.shape[2], -1) @ da.reshape(-1, da.shape[2])
            ),
            "the last step alone": lambda h, da: gradient(h[-2:], da[-1:]),
            "the steps are not summed: one matrix for each": lambda h, da: (
                h[:-1].transpose(0, 2, 1) @ da
            ),
        },
        {"dW_h": ("row", "column")},
    )
    T = 4
    h, da = case(T, 5)
    made = products_of(student, h=h, da=da)
    if len(made) > 1:
        loop = "one for each step, in a loop" if len(made) == T else "made in pieces"
        raise Wrong(
            f"The numbers are right, but for {T} steps there are {len(made)} products, {loop}. "
            "With all T * B rows under each other the sum is one product."
        )
    if not made:
        raise Wrong("The numbers are right, but no product (@) of h and da was seen.")
    if made[0][1] > 2 and _is_stack(student, h, da):
        raise Wrong(
            f"The numbers are right, and it is one call, but of {T} small products, whose {T} "
            "results are all kept and then summed. Give @ two matrices of T * B rows."
        )
    return f"{found} One product for {T} steps."


def _is_stack(student, h, da) -> bool:
    """Whether a call of matmul makes one matrix a step."""
    sizes = []

    class Watched(Counted):
        def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
            result = super().__array_ufunc__(ufunc, method, *inputs, out=out, **options)
            if ufunc is np.matmul:
                sizes.append(np.ndim(result))
            return result

    def watched(a):
        array = a.copy().view(Watched)
        array.products = []
        return array

    student(watched(h), watched(da))
    return any(n > 2 for n in sizes)
