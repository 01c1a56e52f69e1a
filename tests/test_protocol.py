"""A cell of one's own gets everything that the cells of minirnn get, with no base class.

``MyCell`` is complete: ``params``, ``forward`` and ``backward`` are what every layer has; the other
members are optional (see ``minirnn/protocol.py``).
"""

import itertools

import numpy as np
import pytest
from cases import flatten, same

import minirnn as mr
from minirnn import measure, protocol


class MyCell:
    """A GRU without its reset gate. With f = sigmoid(a_f) and n = tanh(a_n)::

    a[t] = x[t] W_x + h[t-1] W_h + b        h[t] = f[t] h[t-1] + (1 - f[t]) n[t]
    """

    state_names = ("h",)
    gates = ("f", "n")

    def __init__(self, input_size, hidden_size, rng=None):
        self.input_size, self.hidden_size = D, H = input_size, hidden_size
        rng = np.random.default_rng(rng)
        W_x, W_h = rng.normal(size=(D, 2 * H)) / D**0.5, rng.normal(size=(H, 2 * H)) / H**0.5
        self.params = {"W_x": W_x, "W_h": W_h, "b": np.zeros(2 * H)}

    def zero_state(self, B):
        return np.zeros((B, self.hidden_size))

    def output_shape(self, x):
        protocol.fitting(x, ("T", "B", self.input_size))
        return "T", "B", self.hidden_size

    def gates_of(self, p, x, h):
        a_f, a_n = np.split(x @ p["W_x"] + h @ p["W_h"] + p["b"], 2, axis=-1)
        return 1 / (1 + np.exp(-a_f)), np.tanh(a_n)

    def step(self, x, state=None, params=None):
        h = self.zero_state(len(x)) if state is None else state
        f, n = self.gates_of(params or self.params, x, h)
        h = f * h + (1 - f) * n
        return h, h

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        T, B, _ = x.shape
        valid = np.arange(T)[:, None, None] < np.full(B, T if lengths is None else lengths)[:, None]
        x, h = np.where(valid, x, 0), [self.zero_state(B) if state is None else state]
        f, n = np.empty((2, T, B, self.hidden_size))
        for t in range(T):
            f[t], n[t] = self.gates_of(self.params, x[t], h[t])
            f[t] = np.where(valid[t], f[t], 1)  # past its end a sequence keeps its state
            h.append(f[t] * h[t] + (1 - f[t]) * n[t])
        return np.where(valid, h[1:], 0), h[-1], (x, np.array(h), f, n, valid)

    def backward(self, dy, cache, dstate=None):
        x, h, f, n, valid = cache
        dy = np.zeros_like(f) if dy is None else np.where(valid, dy, 0)
        dh, da = np.zeros_like(h[0]) if dstate is None else dstate, []
        for t in reversed(range(len(x))):
            dh = dh + dy[t]
            da_f = dh * (h[t] - n[t]) * f[t] * (1 - f[t])
            da_n = dh * (1 - f[t]) * (1 - n[t] ** 2)
            da.insert(0, np.hstack([da_f, da_n]))
            dh = dh * f[t] + da[0] @ self.params["W_h"].T
        dW_x, dW_h = (np.einsum("tbi,tbj->ij", a, da) for a in (x, h[:-1]))
        grads = {"W_x": dW_x, "W_h": dW_h, "b": np.sum(da, axis=(0, 1))}
        return da @ self.params["W_x"].T, dh, grads

    def gate_values(self, cache):
        return {"f": cache[2], "n": cache[3]}


def sequences(T=5, B=3, D=2):
    return np.random.default_rng(0).normal(size=(T, B, D))


@pytest.mark.parametrize("method", ["central", "complex", "directional"])
@pytest.mark.parametrize("lengths", [None, [5, 2, 0]])
def test_its_gradient_is_checked(method, lengths):
    report = mr.gradcheck(MyCell(2, 3, rng=0), sequences(), lengths=lengths, method=method)
    assert report.ok, report
    model = mr.Sequential(MyCell(2, 3, rng=0), mr.Linear(3, 1, rng=1))
    assert mr.gradcheck(model, sequences(), lengths=lengths, method=method).ok


def test_its_wrong_gradient_is_explained_by_gate():
    class Wrong(MyCell):
        def backward(self, dy, cache, dstate=None):
            x, h, f, n, valid = cache
            return super().backward(dy, (x, h, f, n * 0.9, valid), dstate)

    report = mr.gradcheck(Wrong(2, 3, rng=0), sequences())
    assert not report.ok and "n" in report.verdict and "gate f" in str(report)


def test_it_is_stacked_and_trained():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(8, 40, 1))
    model = mr.Sequential(MyCell(1, 8, rng=0), MyCell(8, 8, rng=1), mr.Linear(8, 1, rng=2))
    data = (x, np.cumsum(x, axis=0), rng.integers(1, 9, 40))
    history = mr.fit(model, mr.mse, data, mr.Adam(0.02), 60, progress=False)
    assert history.loss[-1] < 0.25 * history.loss[0]


def test_it_takes_lengths():
    cell, x, lengths = MyCell(2, 3, rng=0), sequences(), [5, 2, 0]
    x[2:, 1], x[:, 2] = np.nan, np.nan
    y, h, cache = cell.forward(x, lengths=lengths)
    dx, _, _ = cell.backward(np.ones_like(y), cache)
    for b, n in enumerate(lengths):
        assert not y[n:, b].any() and not dx[n:, b].any()
        same(h[b], cell.forward(x[:n, b : b + 1])[1][0] if n else np.zeros(3))


def test_it_streams():
    model = mr.Sequential(MyCell(2, 3, rng=0), mr.Dropout(0.5), mr.Linear(3, 2, rng=1))
    x, target = sequences(), np.zeros((5, 3, 2))
    y, final, _ = model.forward(x)
    state = None
    for t in range(5):
        y_t, state = model.step(x[t], state)
        same(y_t, y[t])
    same(state, final)
    _, grads, _ = mr.bptt(model, mr.mse, x, target, training=False)
    ((_, pieces, _),) = mr.truncated_bptt(model, mr.mse, x, target, 5, 5, training=False)
    same(pieces, grads)
    total = sum(g["0.W_h"] for _, g, _ in mr.rtrl(model, mr.mse, x, target))
    same(total / 5, grads["0.W_h"])
    assert measure.jacobians(MyCell(2, 3, rng=0), x[:, :1]).norms.shape == (6,)


@pytest.mark.parametrize("lengths", [None, [5, 2, 0]])
def test_it_is_traced(lengths):
    cell, x, target = MyCell(2, 3, rng=0), sequences(), np.zeros((5, 3, 3))
    traced = mr.trace(cell, x, mr.mse, target, lengths=lengths)
    assert list(traced) == ["h", "f", "n", "dh", "da_f", "da_n"]
    y, _, (_, _, f, n, valid) = cell.forward(x, lengths=lengths)
    same([traced["h"], traced["f"], traced["n"]], [y, np.where(valid, f, 0), np.where(valid, n, 0)])
    _, grads, _ = mr.bptt(cell, mr.mse, x, target, lengths=lengths)
    da = np.concatenate([traced["da_f"], traced["da_n"]], axis=-1)
    same(da.sum(axis=(0, 1)), grads["b"])
    inside = mr.Sequential(mr.Checkpoint(mr.Sequential(cell), 2), mr.Linear(3, 1))
    same(mr.trace(inside, x, lengths=lengths)["0.model.0.f"], traced["f"])


def test_both_directions_and_checkpoints_take_it():
    x, lengths = sequences(), [5, 2, 1]
    model = mr.Sequential(
        mr.Bidirectional(MyCell(2, 3, rng=0), MyCell(2, 3, rng=1)), mr.Last(both=True)
    )
    assert mr.gradcheck(model, x, lengths=lengths).ok
    assert "0.backward.f" in mr.trace(model, x)
    cell, results = MyCell(2, 3, rng=0), []
    for model in (cell, mr.Checkpoint(cell, every=2)):
        y, state, cache = model.forward(x, lengths=lengths)
        results.append(flatten([y, state, *model.backward(np.ones_like(y), cache)]))
    same(*results)
    assert mr.gradcheck(mr.Checkpoint(cell, 2), x, lengths=lengths, method="complex").ok


def test_texts_are_drawn_from_it():
    model = mr.Sequential(
        mr.Embedding(6, 4, rng=0), MyCell(4, 5, rng=1), MyCell(5, 4, rng=2), mr.Linear(4, 6, rng=3)
    )
    drawn = [token for token, _ in itertools.islice(mr.sample(model, [1, 2], rng=0), 20)]
    assert set(drawn) <= set(range(6)) and len(set(drawn)) > 1
    forecaster = mr.Sequential(MyCell(2, 3, rng=0), mr.Linear(3, 2, rng=1))
    assert mr.free_run(forecaster, sequences(), 4).shape == (4, 3, 2)
    pair = mr.Seq2Seq(
        mr.Sequential(mr.Embedding(6, 2, rng=0), MyCell(2, 3, rng=1)), mr.Embedding(6, 2, rng=2),
        MyCell(4 + 1, 3, rng=3), mr.Linear(6, 6, rng=4), mr.BahdanauAttention(3, 3, 2, rng=5),
    )  # fmt: skip
    assert mr.decode(pair, np.ones((4, 3), int), 0, 1, 5).tokens.shape[1] == 3


def test_it_is_saved_and_loaded(tmp_path):
    model = mr.Sequential(mr.Bidirectional(MyCell(2, 3, rng=0), MyCell(2, 3, rng=1)), mr.Last())
    mr.save(model, tmp_path / "model.npz")
    loaded = mr.load(tmp_path / "model.npz", layers=[MyCell])
    same(loaded.forward(sequences())[0], model.forward(sequences())[0], tol=0)
    with pytest.raises(ValueError, match=r"MyCell is not .*pass its class, layers=\[MyCell\]"):
        mr.load(tmp_path / "model.npz")


def test_it_is_shown():
    model = mr.Sequential(MyCell(2, 3, rng=0), mr.Linear(3, 1))
    assert repr(model) == "Sequential(MyCell(2, 3), Linear(3, 1))"
    assert ["0", "MyCell(2,", "3)", "(T,", "B,", "3)", "36"] in [
        line.split() for line in str(model).splitlines()
    ]
    with pytest.raises(ValueError, match=r"layer 1, MyCell\(2, 4\): x: expected .*\(T, B, 3\)"):
        mr.Sequential(MyCell(2, 3), MyCell(2, 4))


class Bare:
    """Only what every layer has."""

    def __init__(self, cell):
        self.params, self.forward, self.backward = cell.params, cell.forward, cell.backward


def test_with_the_three_members_alone_it_is_trained_stacked_and_checked():
    model = mr.Sequential(Bare(MyCell(2, 3, rng=0)), Bare(MyCell(3, 2, rng=1)))
    assert mr.gradcheck(model, sequences(), lengths=[5, 2, 0]).ok
    mr.fit(model, mr.mse, (sequences(), sequences()), mr.SGD(0.1), 2, progress=False)
    both = mr.Bidirectional(model.layers[0], Bare(MyCell(2, 3, rng=2)))
    assert mr.gradcheck(both, sequences()).ok
    assert mr.Checkpoint(model, 2).forward(sequences())[0].shape == (5, 3, 2)


BARE = mr.Sequential(Bare(MyCell(2, 3)), mr.Linear(3, 2))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: BARE.step(sequences()[0]), "layer 0, .*Bare.* has no step, which Sequential.step"),
        (lambda: mr.Checkpoint(BARE, 2).step(sequences()[0]), "layer model.0, .*has no step"),
        (lambda: mr.trace(BARE, sequences()), "model: .*with state_names and zero_state"),
        (
            lambda: measure.jacobians(BARE.layers[0], sequences(B=1)),
            "model: Bare has no zero_state, which jacobians needs",
        ),
        (
            lambda: mr.Seq2Seq(
                mr.RNN(2, 3), mr.Embedding(5, 2), Bare(MyCell(2, 3)), mr.Linear(3, 5)
            ).forward((sequences(), np.zeros((2, 3), int))),
            "decoder: Bare has no zero_state, which Seq2Seq needs",
        ),
        (
            lambda: mr.save(BARE, "nowhere.npz"),
            "model: Bare does not keep its argument cell as an attribute, which save needs",
        ),
    ],
)
def test_what_is_missing_is_named(call, words):
    with pytest.raises(TypeError, match=words):
        call()
