"""Wrong calls: each gets an error that names the argument, what came, and what was expected."""

import numpy as np
import pytest
from cases import CELLS, point, randomised

import minirnn as mr
from minirnn.checking.catalogue import LAYERS

X = np.zeros((4, 3, 2))


def forward(**changes):
    return lambda: mr.LSTM(2, 5, rng=0).forward(**{"x": X, **changes})


def backward(layer=mr.LSTM, **changes):
    def call():
        cell = layer(2, 5, rng=0)
        _, _, cache = cell.forward(X)
        return cell.backward(**{"dy": np.zeros((4, 3, 5)), "cache": cache, **changes})

    return call


def with_params(**params):
    def call():
        cell = mr.LSTM(2, 5, rng=0)
        cell.params.update(params)
        cell.forward(X)

    return call


def other_cache(layer, x=X):
    return layer.forward(x)[2]


HALF = (np.zeros((3, 5)),)
WRONG = {
    # sizes and options
    "size 0": (lambda: mr.LSTM(0, 5), ValueError, "input_size: .*at least 1, got 0"),
    "size negative": (lambda: mr.GRU(2, -3), ValueError, "hidden_size: .*at least 1, got -3"),
    "size float": (lambda: mr.RNN(2.0, 3), TypeError, "input_size: expected a whole number, got 2.0"),
    "size bool": (lambda: mr.RNN(True, 3), ValueError, "input_size: .*got True"),
    "size text": (lambda: mr.Linear("2", 3), TypeError, "in_features: .*got '2'"),
    "nonlinearity": (lambda: mr.RNN(2, 3, "sine"), ValueError, "'tanh' or 'relu', got 'sine'"),
    "reset": (lambda: mr.GRU(2, 3, reset=True), ValueError, "reset: expected 'after' or 'before'"),
    "dtype": (lambda: mr.RNN(2, 3, dtype="int32"), ValueError, "dtype: .*float64, got 'int32'"),
    "dtype odd": (lambda: mr.RNN(2, 3, dtype="float65"), ValueError, "dtype: .*got 'float65'"),
    "forget bias": (lambda: mr.LSTM(2, 3, forget_bias=np.nan), ValueError, "forget_bias: .*got nan"),
    "rng": (lambda: mr.RNN(2, 3, rng="x"), TypeError, "rng: .*got 'x'"),
    "rng negative": (lambda: mr.RNN(2, 3, rng=-1), TypeError, "rng: .*got -1"),
    # x
    "rank 2": (forward(x=np.zeros((3, 2))), ValueError, r"x: .*\(T, B, 2\), got \(3, 2\)"),
    "rank 4": (forward(x=np.zeros((1, 4, 3, 2))), ValueError, r"x: .*\(T, B, 2\)"),
    "feature size": (forward(x=np.zeros((4, 3, 7))), ValueError, r"\(T, B, 2\), got \(4, 3, 7\)"),
    "no steps": (forward(x=np.zeros((0, 3, 2))), ValueError, r"got \(0, 3, 2\): it is empty"),
    "no rows": (forward(x=np.zeros((4, 0, 2))), ValueError, r"got \(4, 0, 2\): it is empty"),
    "complex": (forward(x=X + 1j), TypeError, "x: expected real numbers, got complex128"),
    "text": (forward(x=[[["a", "b"]]]), TypeError, "x: expected real numbers"),
    "objects": (forward(x=X.astype(object)), TypeError, "x: expected real numbers, got object"),
    "ragged": (forward(x=[[[1.0, 2.0]], [[1.0]]]), ValueError, "x: expected an array of numbers"),
    "None": (forward(x=None), TypeError, "x: expected real numbers"),
    # state
    "one of two": (forward(state=HALF), TypeError, r"state: expected a pair \(h, c\).*got 1 of"),
    "array for pair": (forward(state=HALF[0]), TypeError, r"pair \(h, c\).*got ndarray"),
    "state shape": (forward(state=(HALF[0], np.zeros((5, 3)))), ValueError, r"state c: .*\(3, 5\)"),
    "pair for array": (
        lambda: mr.GRU(2, 5).forward(X, HALF * 2), ValueError, r"state: expected shape \(3, 5\)",
    ),
    "state of none": (
        lambda: mr.Linear(2, 5).forward(X, HALF[0]), TypeError, "state: .*Linear has no state",
    ),
    "states of a model": (
        lambda: mr.Sequential(mr.RNN(2, 5), mr.Last()).forward(X, HALF),
        TypeError, "state: expected a list of 2",
    ),
    # lengths
    "lengths shape": (forward(lengths=[4, 4]), ValueError, r"lengths: expected shape \(3,\)"),
    "lengths long": (forward(lengths=[4, 5, 1]), ValueError, r"lengths: .*0..4, got 1..5"),
    "lengths negative": (forward(lengths=[4, -1, 1]), ValueError, r"0..4, got -1..4"),
    "lengths float": (forward(lengths=[4.0, 1, 1]), TypeError, "lengths: expected whole numbers"),
    # backward
    "dy shape": (backward(dy=np.zeros((4, 3, 2))), ValueError, r"dy: .*\(4, 3, 5\), got \(4, 3, 2\)"),
    "dy rank": (backward(dy=np.zeros((3, 5))), ValueError, r"dy: expected shape \(4, 3, 5\)"),
    "cache kind": (
        backward(cache=other_cache(mr.GRU(2, 5))), TypeError, "expected the LSTMCache .* GRUCache",
    ),
    "no cache": (backward(cache=None), TypeError, "cache: expected the LSTMCache .* got None"),
    "cache sizes": (
        backward(cache=other_cache(mr.LSTM(2, 4))), ValueError, r"cache: made by .*\(2, 4\)",
    ),
    "cache dtype": (
        backward(cache=other_cache(mr.LSTM(2, 5, dtype="float32"))), ValueError, r"\(2, 5\), float32",
    ),
    "cache variant": (
        backward(lambda D, H, rng: mr.GRU(D, H, rng=rng), cache=other_cache(mr.GRU(2, 5, "before"))),
        ValueError, "cache: made by .*before, given to .*after",
    ),
    "cache peephole": (
        backward(cache=other_cache(mr.LSTM(2, 5, peephole=True))), ValueError, "with peepholes, given",
    ),
    "cache relu": (
        backward(mr.RNN, cache=other_cache(mr.RNN(2, 5, "relu"))), ValueError, "relu, given to .*tanh",
    ),
    "dstate kind": (backward(dstate=HALF), TypeError, r"dstate: expected a pair \(h, c\)"),
    "dstate shape": (
        backward(mr.GRU, dstate=np.zeros((3, 4))), ValueError, r"dstate: expected shape \(3, 5\)",
    ),
    "model cache": (
        lambda: mr.Sequential(mr.RNN(2, 5)).backward(np.zeros((4, 3, 5)), None),
        TypeError, "cache: expected a list of 1",
    ),
    # parameters that were replaced
    "params shape": (with_params(b=np.zeros(19)), ValueError, r"params\['b'\]: .*\(20,\), got \(19,\)"),
    "params name": (with_params(W_y=np.zeros(2)), ValueError, "params: expected the names"),
    # layers
    "no layers": (lambda: mr.Sequential(), ValueError, "layers: expected at least one"),
    "a class": (lambda: mr.Sequential(mr.Last), TypeError, "layer 0: expected one with forward"),
    "a list": (lambda: mr.Sequential([mr.Last()]), TypeError, "layer 0: expected one with forward"),
    "last of 2-D": (lambda: mr.Last().forward(X[0]), ValueError, r"x: expected shape \(T, B, D\)"),
    # losses
    "broadcast": (
        lambda: mr.mse(np.zeros((3, 1)), np.zeros(3)), ValueError, r"target: .*\(3, 1\), got \(3,\)",
    ),
    "target shape": (
        lambda: mr.softmax_cross_entropy(X, [0, 1]), ValueError, r"target: expected shape \(4, 3\)",
    ),
    "target high": (
        lambda: mr.softmax_cross_entropy(X[0], [0, 2, 1]), ValueError, r"target: .*0..1, got 2 at \(1,\)",
    ),
    "target negative": (
        lambda: mr.softmax_cross_entropy(X[0], [0, 1, -1]), ValueError, r"got -1 at \(2,\)",
    ),
    "target float": (
        lambda: mr.softmax_cross_entropy(X[0], [0.0, 1, 1]), TypeError, "target: expected whole numbers",
    ),
    "target one-hot": (
        lambda: mr.softmax_cross_entropy(X[0], np.eye(3, 2, dtype=int)), ValueError, r"target: .*\(3,\)",
    ),
    "probability": (
        lambda: mr.binary_cross_entropy([0.0, 0.0], [0.5, 1.5]), ValueError, r"in 0..1, got 1.5 at \(1,\)",
    ),
    "nothing": (lambda: mr.mse([], []), ValueError, "target: expected at least one"),
    "all masked": (lambda: mr.mse(X, X, np.zeros((4, 3))), ValueError, "mask: .*at least one valid"),
    "mask shape": (lambda: mr.mse(X, X, np.ones((3, 4))), ValueError, r"mask: .*\(4, 3\), got \(3, 4\)"),
    "mask values": (lambda: mr.mse(X, X, -np.ones((4, 3))), ValueError, "mask: expected 0 and 1"),
    "complex prediction": (lambda: mr.mse([1j], [0.0]), TypeError, "y: expected real numbers"),
    # training
    "lr": (lambda: mr.Adam(lr=-1), ValueError, "lr: .*got -1"),
    "lr nan": (lambda: mr.SGD(lr=np.nan), ValueError, "lr: .*got nan"),
    "lr number as text": (lambda: mr.SGD(lr="0.1"), TypeError, "lr: expected a number, got '0.1'"),
    "ragged target": (lambda: mr.mse([[1.0], [1.0]], [[1.0], []]), ValueError, "target: expected an"),
    "ragged x": (lambda: mr.Linear(2, 3).forward([[1.0, 2.0], [1.0]]), ValueError, "x: expected an"),
    "nonlinearity array": (lambda: mr.RNN(1, 1, np.ones(3)), ValueError, "nonlinearity: expected"),
    "max_norm text": (lambda: mr.clip_grad_norm({"a": X}, "1"), TypeError, "max_norm: .*got '1'"),
    "lr text": (lambda: mr.SGD(lr="fast"), TypeError, "lr: expected a number, got 'fast'"),
    "momentum": (lambda: mr.SGD(0.1, momentum=1.5), ValueError, "momentum: .*got 1.5"),
    "nesterov": (lambda: mr.SGD(0.1, nesterov=True), ValueError, "nesterov: expected a momentum"),
    "beta": (lambda: mr.Adam(beta1=1.0), ValueError, "beta1: .*got 1.0"),
    "eps": (lambda: mr.RMSProp(eps=0), ValueError, "eps: .*got 0"),
    "max_norm": (lambda: mr.clip_grad_norm({"a": X}, 0), ValueError, "max_norm: .*got 0"),
    "epochs": (lambda: mr.fit(None, None, None, None, 0), ValueError, "epochs: .*got 0"),
    "optimizer": (lambda: mr.fit(None, None, None, "adam", 1), TypeError, "optimizer: .*'adam'"),
    "optimizer class": (lambda: mr.fit(None, None, None, mr.Adam, 1), TypeError, "optimizer: .*Adam"),
    "no data": (lambda: mr.fit(mr.Last(), mr.mse, None, mr.Adam(), 1), TypeError, "data: .*got None"),
    "patience": (lambda: mr.fit(None, mr.mse, None, mr.Adam(), 1, patience=2), ValueError, "patience: .*val"),
    "method": (lambda: mr.gradcheck(mr.RNN(2, 3), X, method="exact"), ValueError, "'central' or 'com"),
    "tol": (lambda: mr.gradcheck(mr.RNN(2, 3), X, tol=0), ValueError, "tol: .*got 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_explained(name):
    call, kind, words = WRONG[name]
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("T, B", [(2, 2), (4, 1)])
def test_a_dy_of_another_shape_is_never_taken(name, T, B):
    layer = randomised(name)
    x, state, dy, _ = point(layer, T=4, B=2)
    _, _, cache = layer.forward(x, state)
    wrong = dy[:T, :B] if dy.ndim == 3 else np.resize(dy, (B + 2, dy.shape[1]))
    with pytest.raises(ValueError, match="dy: expected shape"):
        layer.backward(wrong, cache)


@pytest.mark.parametrize("name", CELLS)
def test_numbers_of_any_real_kind_are_taken(name):
    layer = randomised(name)
    x = np.array([[[1, 0]], [[0, 1]]])
    expected, _, _ = layer.forward(x.astype(float))
    for kind in (bool, np.int8, np.uint64, np.float16, np.float32):
        assert np.array_equal(layer.forward(x.astype(kind))[0], expected)
    assert np.array_equal(layer.forward(x.tolist())[0], expected)


def test_a_step_is_checked_too():
    for x in (np.zeros((1, 3)), np.zeros((1, 1, 2)), np.zeros(2)):
        with pytest.raises(ValueError, match=r"x: expected shape \(B, 2\)"):
            mr.LSTM(2, 5).step(x)
    with pytest.raises(TypeError, match="state: expected a pair"):
        mr.LSTM(2, 5).step(np.zeros((1, 2)), np.zeros((1, 5)))


class Column:
    """A column of numbers with missing values, as pandas has it: NumPy makes NaN of them."""

    dtype, values, isna = "Float64", [1.0, 2.0], staticmethod(lambda: np.array([False, True]))

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


class Arrow(Column):
    isna, null_count = None, 1


@pytest.mark.parametrize("mask", [[0, 1], [0, 0]])
@pytest.mark.parametrize(
    "made", [lambda a: a, lambda a: [a], lambda a: [[0.0], [a[0], np.ma.masked]]]
)
def test_a_masked_array_is_refused_since_its_mask_would_be_lost(mask, made):
    value = made(np.ma.masked_array([1.0, 99.0], mask))
    with pytest.raises(TypeError, match="target: expected numbers without gaps"):
        mr.mse(np.zeros(2), value)
    with pytest.raises(TypeError, match="lengths: expected numbers without gaps"):
        mr.LSTM(2, 5).forward(X, lengths=value)


def test_a_column_with_missing_values_is_refused_and_one_without_is_taken():
    for column in (Column(), [Column()], Arrow()):
        with pytest.raises(TypeError, match="target: expected numbers without gaps"):
            mr.mse(np.zeros(2), column)
    full = Column()
    full.isna = lambda: np.array([False, False])
    assert mr.mse(np.zeros(2), full)[0] == 2.5


def test_numbers_too_large_for_any_float_are_named():
    with pytest.raises(TypeError, match="lr: expected a number"):
        mr.SGD(10**400)
