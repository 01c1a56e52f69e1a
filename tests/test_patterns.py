"""The five patterns of input and output (Karpathy 2015), as the README composes them.

Each learns a small task, so that it is not only the shapes that fit.
"""

import numpy as np

import minirnn as mr


def train(model, loss_fn, x, target, epochs=150, lr=0.02):
    return mr.fit(model, loss_fn, (x, target), mr.Adam(lr=lr), epochs, rng=0, progress=False).loss


def test_one_to_one():
    """No recurrence at all: exclusive or."""
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    model = mr.Sequential(mr.Linear(2, 8, rng=0), mr.Activation("tanh"), mr.Linear(8, 1, rng=1))
    assert train(model, mr.mse, x, np.array([[0.0], [1], [1], [0]]), 400)[-1] < 1e-3


def test_one_to_many():
    """A label to a sequence: the label at every step, or as the first input only."""
    labels, T = np.arange(4), 6
    target = (labels + np.arange(T)[:, None]) % 4  # count on from the label
    model = mr.Sequential(mr.Embedding(5, 8, rng=0), mr.GRU(8, 16, rng=1), mr.Linear(16, 4, rng=2))
    first = np.full((T, 4), 4)
    first[0] = labels  # nothing but the first step tells what it is
    assert train(model, mr.softmax_cross_entropy, first, target)[-1] < 0.05


def test_one_to_many_with_a_picture_as_the_initial_state():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(4, 10)), np.arange(4)
    target = (labels + np.arange(6)[:, None]) % 4
    to_state, rnn = mr.Linear(10, 16, rng=1), mr.GRU(1, 16, rng=2)
    readout, adam = mr.Linear(16, 4, rng=3), mr.Adam(lr=0.02)
    parts = {"s": to_state, "r": rnn, "o": readout}
    for _ in range(150):
        h0, _, cache_h0 = to_state.forward(images)
        y, _, cache_y = rnn.forward(np.zeros((6, 4, 1)), h0)
        logits, _, cache_o = readout.forward(y)
        loss, dlogits = mr.softmax_cross_entropy(logits, target)
        dy, _, grads_o = readout.backward(dlogits, cache_o)
        _, dh0, grads_r = rnn.backward(dy, cache_y)  # the state's gradient goes to the picture
        _, _, grads_s = to_state.backward(dh0, cache_h0)
        grads = {"s": grads_s, "r": grads_r, "o": grads_o}
        adam.step(
            {f"{k}.{n}": p for k, part in parts.items() for n, p in part.params.items()},
            {f"{k}.{n}": g for k, own in grads.items() for n, g in own.items()},
        )
    assert loss < 0.05


def test_many_to_one():
    """The sign of the first number, asked at the end."""
    x = np.random.default_rng(0).normal(size=(6, 64, 1))
    model = mr.Sequential(mr.LSTM(1, 8, rng=0), mr.Last(), mr.Linear(8, 1, rng=1))
    target = (x[0] > 0).astype(float)
    assert train(model, mr.binary_cross_entropy, x, target)[-1] < 0.05


def test_many_to_many_in_step():
    """The parity of the signs so far, at every step."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(5, 64, 1))
    target = (np.cumprod(x, axis=0) > 0).astype(float)
    model = mr.Sequential(mr.GRU(1, 16, rng=0), mr.Linear(16, 1, rng=1))
    assert train(model, mr.binary_cross_entropy, x, target, 300)[-1] < 0.05


def test_encoder_and_decoder():
    """Three letters, then the same three letters."""
    source = np.random.default_rng(0).integers(2, 6, (3, 64))
    target = np.vstack([np.zeros((1, 64), int), source, np.ones((1, 64), int)])
    model = mr.Seq2Seq(
        mr.Sequential(mr.Embedding(6, 8, rng=0), mr.LSTM(8, 24, rng=1)),
        mr.Embedding(6, 8, rng=2), mr.LSTM(8, 24, rng=3), mr.Linear(24, 6, rng=4),
    )  # fmt: skip
    x = source, target[:-1]
    assert train(model, mr.softmax_cross_entropy, x, target[1:], 250)[-1] < 0.05
    assert np.mean(mr.decode(model, source, 0, 1, 4).tokens == target[1:]) > 0.98
