"""bptt: forward, loss, backward of a whole model."""

import functools

import numpy as np
import pytest
from cases import point, randomised, same

import minirnn as mr
from minirnn.training.bptt import evaluate


def test_bptt_is_forward_loss_and_backward():
    model = randomised("GRU LSTM Linear")
    x, state, target, _ = point(model)
    loss, grads, final = mr.bptt(model, mr.mse, x, target, state)
    y, expected_final, cache = model.forward(x, state)
    expected_loss, dy = mr.mse(y, target)
    assert loss == expected_loss
    same(grads, model.backward(dy, cache)[2], 0)
    same(final, expected_final, 0)


def test_steps_past_the_end_do_not_count():
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    loss, grads, _ = mr.bptt(model, mr.mse, x, target, lengths=[4, 2])
    spoiled = target.copy()
    spoiled[2:, 1] = np.nan
    again, grads_again, _ = mr.bptt(model, mr.mse, x, spoiled, lengths=[4, 2])
    assert loss == again
    same(grads, grads_again, 0)
    parts = [
        mr.mse(model.forward(x[:n, b : b + 1])[0], target[:n, b : b + 1])[0]
        for b, n in ((0, 4), (1, 2))
    ]
    np.testing.assert_allclose(loss, (4 * parts[0] + 2 * parts[1]) / 6)


def squares(y, target):
    """A loss of one's own, without a mask."""
    return float(((y - target) ** 2).mean()), 2 * (y - target) / y.size


METHODS = {
    "bptt": lambda *a, **o: mr.bptt(*a, **o)[0],
    "truncated": lambda *a, **o: next(mr.truncated_bptt(*a, 4, 4, **o))[0],
    "evaluate": lambda *a, lengths=None, mask=None: evaluate(*a[:2], [(*a[2:], lengths, mask)]),
    "fit": lambda *a, lengths=None, mask=None: mr.fit(
        *a[:2], (*a[2:], lengths, mask), mr.SGD(0.0), 1
    ).loss[0],
}


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_of_one_s_own_needs_a_mask_only_where_some_targets_do_not_count(method):
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    expected = squares(model.forward(x)[0], target)[0]
    for lengths in (None, [4, 4]):
        found = METHODS[method](model, squares, x, target, lengths=lengths)
        assert found == pytest.approx(expected)
    for options in ({"lengths": [4, 2]}, {"mask": np.eye(4, 2)}):
        with pytest.raises(TypeError, match=r"loss_fn: expected one that takes mask.*got squares"):
            METHODS[method](model, squares, x, target, **options)


@pytest.mark.parametrize(
    "loss_fn, words",
    [
        (lambda y, t: 1.0, r"loss_fn: expected it to return \(loss, dy\), got 1.0"),
        (lambda y, t: None, r"loss_fn: expected it to return \(loss, dy\), got None"),
        (lambda y, t: (y[0, :, 0], y), "loss_fn: expected one real number as loss"),
        (lambda y, t: (1j, y), "loss_fn: expected one real number as loss"),
        (lambda y, t: (1.0, y[..., 0]), r"loss_fn: expected dy of shape \(4, 2, 3\).*\(4, 2\)"),
        (lambda y, t: (1.0, None), r"loss_fn: expected dy of shape \(4, 2, 3\)"),
        (None, "loss_fn: expected a function, got None"),
    ],
)
def test_what_is_no_loss_is_named(loss_fn, words):
    model, x = mr.Linear(2, 3, rng=0), np.ones((4, 2, 2))
    for call in (
        lambda: mr.bptt(model, loss_fn, x, x),
        lambda: next(mr.truncated_bptt(model, loss_fn, x, x, 2, 2)),
        lambda: next(mr.rtrl(model, loss_fn, x[:, :2], x)),
        lambda: evaluate(model, loss_fn, [(x, x, None, None)]),
    ):
        with pytest.raises((TypeError, ValueError), match=words.replace("4,", "[124],")):
            call()


def test_what_is_no_model_is_named():
    x, words = np.ones((4, 2, 3)), "model: expected a layer, with forward and backward, got"
    for model in (None, mr.LSTM, np.ones(3)):
        for call in (
            lambda: mr.bptt(model, mr.mse, x, x),
            lambda: next(mr.truncated_bptt(model, mr.mse, x, x, 2, 2)),
            lambda: next(mr.rtrl(model, mr.mse, x, x)),
            lambda: evaluate(model, mr.mse, [(x, x, None, None)]),
            lambda: mr.fit(model, mr.mse, (x, x), mr.SGD(0.1), 1),
        ):
            with pytest.raises(TypeError, match=words):
                call()


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_always_wants_a_mask_gets_one(method):
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    found = METHODS[method](model, lambda y, t, mask: mr.mse(y, t, mask), x, target)
    assert found == METHODS[method](model, mr.mse, x, target)


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_may_hold_weights_but_none_that_is_negative_or_not_finite(method):
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    weights = np.array([[0.5, 2], [0, 1], [3, 0], [0, 0.1]])
    found = METHODS[method](model, mr.mse, x, target, mask=weights)
    assert found == pytest.approx(mr.mse(model.forward(x)[0], target, weights)[0], rel=1e-14)
    for weight in (-0.5, np.inf, np.nan):
        weights[2, 1] = weight
        with pytest.raises(ValueError, match=rf"mask: .*weights of at least 0, got {weight} at"):
            METHODS[method](model, mr.mse, x, target, mask=weights)


def test_lengths_may_be_a_tuple_of_numbers():
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    for method in METHODS.values():
        found = [method(model, mr.mse, x, target, lengths=n) for n in ((4, 2), [4, 2])]
        assert found[0] == found[1]


def test_an_error_inside_a_loss_is_not_renamed():
    def broken(y, target, mask=None):
        raise TypeError("something else")

    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    with pytest.raises(TypeError, match=r"^something else$"):
        mr.bptt(model, broken, x, target, lengths=[4, 2])


def test_a_batch_in_which_nothing_counts_has_no_gradient():
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    with pytest.raises(ValueError, match="lengths: expected at least one target that counts"):
        mr.bptt(model, mr.mse, x, target, lengths=[0, 0])
    with pytest.raises(ValueError, match="mask: expected at least one target that counts"):
        mr.bptt(model, mr.mse, x, target, mask=np.zeros((4, 2)))


def test_batch_first_data_are_recognised_where_a_target_tells():
    model = randomised("GRU LSTM Linear")
    x, _, _, _ = point(model, T=4, B=2)
    last = mr.Sequential(model, mr.Last())
    with pytest.raises(ValueError, match=r"target: .*\(4, 2, .* batch first, but time comes first"):
        mr.bptt(last, mr.mse, x, np.zeros((4, 3)))


HINTS = {  # x is (4, 2, 3), so the output is (4, 2, 3)
    "one a sequence": (
        np.zeros((4, 3)),
        None,
        r"x \(4, 2, .*and target \(4, 3\) may be batch first",
    ),
    "target": (np.zeros((2, 4, 3)), None, r"target \(2, 4, 3\) may be batch first, but time"),
    "mask": (np.zeros((4, 2, 3)), np.ones((2, 4)), r"mask \(2, 4\) may be batch first, but time"),
    "weights of sequences": (np.zeros((4, 2, 3)), np.ones(2), r"np.broadcast_to\(mask, \(T, B\)\)"),
}


@pytest.mark.parametrize("target, mask, words", HINTS.values(), ids=HINTS)
def test_a_target_or_mask_that_is_batch_first_is_recognised(target, mask, words):
    model = randomised("GRU LSTM Linear")
    x = point(model, T=4, B=2)[0]
    target = target[..., : model.forward(x)[0].shape[-1]]
    with pytest.raises(ValueError, match=words):
        mr.bptt(model, mr.mse, x, target, mask=mask)


def test_a_target_that_is_wrong_otherwise_has_no_such_hint():
    model = randomised("GRU LSTM Linear")
    x = point(model, T=4, B=2)[0]
    with pytest.raises(ValueError, match=r"target: expected shape \(4, 2, 3\), got \(4, 2, 9\)$"):
        mr.bptt(model, mr.mse, x, np.zeros((4, 2, 9)))


def test_rtrl_needs_the_state_to_start_from():
    class Bare:
        def __init__(self):
            self.cell = mr.GRU(2, 3, rng=0)
            self.params, self.backward = self.cell.params, self.cell.backward
            self.forward = self.cell.forward

    with pytest.raises(TypeError, match="model: Bare has no zero_state, which rtrl needs"):
        next(mr.rtrl(Bare(), mr.mse, np.ones((4, 2, 2)), np.ones((4, 2, 3))))


SIZES = [[6], [3, 3], [1, 2, 3], [1] * 6]


@pytest.mark.parametrize("loss_fn", [mr.mse, mr.softmax_cross_entropy, mr.binary_cross_entropy])
@pytest.mark.parametrize(
    "form", ["lengths", "mask", "elements", "weights", "one a sequence", "other T"]
)
def test_the_loss_of_several_batches_does_not_depend_on_what_is_in_which(loss_fn, form):
    rng = np.random.default_rng(0)
    x, ends = rng.normal(size=(5, 6, 2)), np.array([5, 1, 0, 3, 5, 2])
    model = mr.Sequential(mr.GRU(2, 4, rng=0), mr.Linear(4, 3, rng=1))
    if form == "one a sequence":
        model, ends = mr.Sequential(*model.layers, mr.Last()), np.maximum(ends, 1)
    shape = model.forward(x)[0].shape
    target = rng.random(shape)
    if loss_fn is mr.softmax_cross_entropy:
        target = rng.integers(0, 3, shape[:-1])
    mask = rng.random(target.shape if form == "elements" else (5, 6)) < 0.5
    if form == "weights":
        mask = mask * rng.random((5, 6))
    if form == "other T":  # each its own length, none of it padding
        ends = np.maximum(ends, 1)

    def batch(rows):
        own = target[rows] if form == "one a sequence" else target[:, rows]
        if form in ("mask", "elements", "weights"):
            return x[:, rows], own, None, mask[:, rows]
        return x[:, rows], own, ends[rows], None

    found = []
    for sizes in [[1] * 6, [1] * 6] if form == "other T" else SIZES:
        data = [batch(part) for part in np.split(np.arange(6), np.cumsum(sizes)[:-1])]
        if form == "other T" and not found:
            data = [batch(slice(0, 6))]
        elif form == "other T":
            data = [(x[:n], t[:n], None, None) for x, t, (n,), _ in data]
        history = mr.fit(model, loss_fn, data, mr.SGD(0.0), 1, validation=data)
        found += [evaluate(model, loss_fn, data), history.loss[0], history.val_loss[0]]
    assert found == pytest.approx([found[0]] * len(found), rel=1e-13)


def test_the_exponential_of_the_loss_is_the_perplexity():
    model, rng = mr.Sequential(mr.Embedding(5, 3, rng=0), mr.Linear(3, 5, rng=1)), np.random
    x, ends = rng.default_rng(0).integers(0, 5, (6, 4)), np.array([6, 1, 0, 2])
    logits = model.forward(x)[0].astype(np.longdouble)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    counts = np.arange(6)[:, None] < ends
    nats = -np.log(np.take_along_axis(p, x[..., None], -1)[..., 0][counts])
    data = [(x[:, [b]], x[:, [b]], ends[[b]], None) for b in range(4)]
    assert evaluate(model, mr.softmax_cross_entropy, data) == pytest.approx(float(nats.mean()))


def test_a_loss_of_one_s_own_counts_by_its_targets_too():
    model, x = mr.Linear(2, 2, rng=0), np.random.default_rng(0).normal(size=(6, 4, 2))
    whole = squares(model.forward(x)[0], x)[0]

    def itself(y, target):  # a loss that has no target
        return squares(y, x[: len(y)] if len(y) < 5 else x[1:])

    parts = [(x[:1], x[:1], None, None), (x[1:], x[1:], None, None)]
    assert evaluate(model, squares, parts) == pytest.approx(whole)
    parts = [(x, None, None, None) for x, *_ in parts]
    assert evaluate(model, itself, parts) == pytest.approx(whole)


def test_a_loss_without_a_mask_argument_will_do():
    def absolute(y, target):
        return float(np.abs(y - target).mean()), np.sign(y - target) / y.size

    model = randomised("LSTM Last Linear")
    x, _, target, _ = point(model)
    loss, _, _ = mr.bptt(model, absolute, x, target, lengths=[4, 2, 1])
    assert loss > 0


@pytest.mark.parametrize("loss_fn, function, target", [
    (mr.softmax_cross_entropy, "softmax", np.zeros((2, 3), int)),
    (functools.partial(mr.softmax_cross_entropy, mask=None), "softmax", np.zeros((2, 3), int)),
    (mr.binary_cross_entropy, "sigmoid", np.zeros((2, 3, 4))),
    (mr.ctc, "softmax", np.ones((1, 3), int)),
])  # fmt: skip
def test_a_softmax_is_not_taken_twice(loss_fn, function, target):
    x, cell = np.zeros((2, 3, 2)), mr.RNN(2, 4, rng=0)
    wrong = mr.Sequential(mr.Dropout(0.1), mr.Sequential(cell, mr.Activation(function)))
    message = rf"model: expected logits, as \w+ takes the {function} itself, .*'{function}'"
    with pytest.raises(ValueError, match=message):
        mr.bptt(wrong, loss_fn, x, target)
    with pytest.raises(ValueError, match=message):
        mr.fit(wrong, loss_fn, (x, target), mr.Adam(), 1, progress=False)
    mr.bptt(mr.Sequential(cell, mr.Activation("tanh")), loss_fn, x, target)
