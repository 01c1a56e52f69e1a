"""CTC: its value and gradient against a sum over all paths, measured slopes and PyTorch; what it
refuses; and that nothing depends on batches, threads or padding.
"""

import functools
import itertools
import math

import numpy as np
import pytest

import minirnn as mr
from minirnn.engine import threads
from minirnn.engine.jit import plain
from minirnn.training.bptt import evaluate
from minirnn.training.ctc import log_to_3, textbook

NONE = np.zeros((0, 1), int)


def spelled(path, blank):
    """What a path spells."""
    merged = [k for k, _ in itertools.groupby(path)]
    return [k for k in merged if k != blank]


def over_all_paths(logits, labels, blank=0):
    """-log p(labels) and its gradient for logits (T, V): every path, one after another."""
    T, V = logits.shape
    y = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    visits = np.zeros((T, V))
    for path in itertools.product(range(V), repeat=T):
        if spelled(path, blank) == list(labels):
            visits[range(T), path] += math.prod(y[t, k] for t, k in enumerate(path))
    p = visits[0].sum()
    return -math.log(p), y - visits / p


def sequences(seed, T, V, blank=0, B=3, scale=2.0):
    """Logits (T, B, V), targets (S, B), how many steps and labels each has, from none to all."""
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(T, B, V)) * scale, []
    steps = rng.integers(1, T + 1, B)
    steps[0] = T
    while len(labels) < B:
        own = rng.choice([k for k in range(V) if k != blank], rng.integers(0, T + 1))
        if len(own) + np.sum(own[1:] == own[:-1]) <= steps[len(labels)]:
            labels.append(own)
    target = np.full((max(map(len, labels)), B), -1)
    for b, own in enumerate(labels):
        target[: len(own), b] = own
    return logits, target, np.arange(T)[:, None] < steps, labels


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_sum_over_all_paths(seed):
    T, V, blank = [(1, 3, 0), (3, 2, 1), (4, 4, 2), (5, 3, 0), (6, 3, 2)][seed % 5]
    logits, target, mask, labels = sequences(seed, T, V, blank)
    loss, d = mr.ctc(logits, target, mask, blank)
    each = [over_all_paths(logits[mask[:, b], b], own, blank) for b, own in enumerate(labels)]
    assert loss == pytest.approx(np.mean([nats for nats, _ in each]), rel=1e-13)
    for b, (_, expected) in enumerate(each):
        np.testing.assert_allclose(d[mask[:, b], b], expected / 3, atol=1e-14)
        assert not d[~mask[:, b], b].any()


@pytest.mark.parametrize(
    ("steps", "labels"),
    [(1, [1]), (3, [2, 1, 2]), (4, [1, 1, 2]), (5, [1, 1, 1]), (5, []), (1, []), (2, [2])],
    ids=["one step", "S = T", "equal labels, as short as can be", "only equal labels", "no label",
         "one step without a label", "one label"],
)  # fmt: skip
def test_the_ends_of_what_is_possible(steps, labels):
    logits = np.random.default_rng(0).normal(size=(steps, 1, 3))
    target = np.array(labels, int)[:, None]
    loss, d = mr.ctc(logits, target)
    expected, expected_d = over_all_paths(logits[:, 0], labels)
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(d[:, 0], expected_d, atol=1e-14)


def test_by_hand():
    y = np.log([[0.5, 0.4, 0.1], [0.2, 0.7, 0.1]])[:, None]  # steps of: blank, a, b
    assert mr.ctc(y, [[1]])[0] == pytest.approx(-math.log(0.5 * 0.7 + 0.4 * 0.2 + 0.4 * 0.7))
    assert mr.ctc(y, [[2], [1]])[0] == pytest.approx(-math.log(0.1 * 0.7))
    assert mr.ctc(y, NONE)[0] == pytest.approx(-math.log(0.5 * 0.2))


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_the_measured_slope(seed):
    logits, target, mask, _ = sequences(seed, 5, 4)
    _, d = mr.ctc(logits, target, mask)
    for index in np.ndindex(logits.shape):
        values = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[index] += sign * 1e-5
            values.append(mr.ctc(moved, target, mask)[0])
        assert d[index] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-9)


@pytest.mark.parametrize("labels", [[1, 2, 2], [3], []])
def test_the_textbook_and_the_kernel_have_the_gradient_of_the_complex_step(labels):
    logits = np.random.default_rng(1).normal(size=(6, 4)) * 3
    slopes = np.zeros((6, 4))
    for index in np.ndindex(6, 4):
        moved = logits.astype(complex)
        moved[index] += 1e-30j
        slopes[index] = textbook(moved, labels)[0].imag / 1e-30
    nats, d = textbook(logits, labels)
    loss, dlogits = mr.ctc(logits[:, None], np.array(labels, int)[:, None])
    assert loss == pytest.approx(nats, rel=1e-14)
    np.testing.assert_allclose(d, slopes, atol=1e-14)
    np.testing.assert_allclose(dlogits[:, 0], slopes, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_pytorch_computes_the_same(seed):
    torch = pytest.importorskip("torch")
    logits, target, mask, labels = sequences(seed, 40, 6, blank=3, B=4)
    loss, d = mr.ctc(logits, target, mask, blank=3)
    x = torch.tensor(logits, requires_grad=True)
    theirs = torch.nn.functional.ctc_loss(
        x.log_softmax(-1), torch.tensor(np.where(target < 0, 0, target).T.copy()),
        torch.tensor(mask.sum(axis=0)), torch.tensor([len(own) for own in labels]),
        blank=3, reduction="sum",
    ) / 4  # fmt: skip
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-10)
    np.testing.assert_allclose(d, x.grad.numpy(), atol=1e-10)


# ---- Numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e2, 1e5, 1e300])
def test_no_logit_is_too_large(size):
    # Every step shouts another label than the target's. Five paths spell it, all alike: 1-1-, ...
    logits = np.zeros((4, 1, 3))
    logits[:, 0, 2] = size
    loss, d = mr.ctc(logits, [[1], [1]])
    assert loss == pytest.approx(4 * size - math.log(5), rel=1e-14)
    assert np.isfinite(d).all()
    np.testing.assert_allclose(d.sum(axis=2), 0, atol=1e-12)
    assert mr.ctc(logits, [[2]])[0] == pytest.approx(0, abs=1e-12)


def test_probabilities_below_the_smallest_float_do_not_vanish():
    logits = np.random.default_rng(0).normal(size=(60, 1, 5)) * 300
    target = np.array([1, 2, 2, 3, 4] * 4)[:, None]
    loss, d = mr.ctc(logits, target)
    nats, expected = textbook(logits[:, 0], target[:, 0])
    assert loss == pytest.approx(nats, rel=1e-13)
    assert loss > 800
    np.testing.assert_allclose(d[:, 0], expected, atol=1e-9)


def test_infinite_logits_have_their_limits():
    inf = np.inf
    logits = np.array([[0.0, 0, -inf], [-inf, 0, 0], [0, 1, inf]])[:, None]
    finite = np.where(np.isinf(logits), np.sign(logits) * 1e4, logits)
    for labels in ([1, 2], [2]):
        target = np.array(labels)[:, None]
        loss, d = mr.ctc(logits, target)
        assert loss == pytest.approx(mr.ctc(finite, target)[0], abs=1e-14)
        np.testing.assert_allclose(d, mr.ctc(finite, target)[1], atol=1e-14)
    both = np.array([[inf, inf, 0.0]])[:, None]
    assert mr.ctc(both, [[1]])[0] == pytest.approx(math.log(2))


def test_where_no_path_has_a_probability_the_loss_is_infinite():
    logits = np.zeros((2, 2, 3))
    logits[:, 0, 1] = -np.inf
    loss, d = mr.ctc(logits, [[1, 2]])
    assert loss == np.inf
    assert np.isnan(d[:, 0]).any()
    assert np.isfinite(d[:, 1]).all()


def test_a_nan_that_counts_shows():
    logits = np.zeros((5, 2, 3))
    logits[3, 1, 2] = np.nan
    loss, d = mr.ctc(logits, [[1, 1]])
    assert np.isnan(loss)
    assert np.isnan(d[:, 1]).any()
    assert np.isfinite(d[:, 0]).all()


def test_padding_may_be_anything():
    logits, target, mask, _ = sequences(4, 6, 4)
    assert not mask.all()
    loss, d = mr.ctc(logits, target, mask)
    spoiled = np.where(mask[..., None], logits, np.nan)
    longer = np.concatenate([target, np.full((2, 3), -1)])
    again, d_again = mr.ctc(spoiled, longer, mask.astype(int))
    assert again == loss
    assert np.array_equal(d_again, d)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_that_of_the_logits(dtype):
    logits, target, mask, _ = sequences(1, 6, 4)
    loss, d = mr.ctc(logits.astype(dtype), target, mask)
    expected, expected_d = mr.ctc(logits, target, mask)
    assert type(loss) is float
    assert d.dtype == dtype
    assert loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(d, expected_d, atol=1e-6)


def test_the_logarithm_of_numbers_from_1_to_3():
    y = np.linspace(1, 3, 2001)
    ours = [plain(log_to_3)(v) for v in y]
    np.testing.assert_allclose(ours, np.log(y), rtol=4e-16, atol=0)


# ---- Batches and threads ------------------------------------------------------------------------


def test_the_bits_do_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(threads, "ENOUGH", 1)  # so that little work is shared out too
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(30, 17, 9)), rng.integers(1, 9, (10, 17))
    before, found = mr.get_num_threads(), []
    try:
        for n in (1, 2, 3, 40):
            mr.set_num_threads(n)
            loss, d = mr.ctc(logits, target)
            found.append((loss, d.tobytes()))
    finally:
        mr.set_num_threads(before)
    assert len(set(found)) == 1


def test_arguments_are_not_changed():
    logits, target, mask, _ = sequences(0, 6, 4)
    before = logits.tobytes(), target.tobytes(), mask.tobytes()
    for a in (logits, target, mask):
        a.flags.writeable = False
    mr.ctc(logits, target, mask)
    assert (logits.tobytes(), target.tobytes(), mask.tobytes()) == before


def padded_batches(size):
    """Five sequences in batches, each only as long as its own longest."""
    rng = np.random.default_rng(3)
    steps, labels = [9, 4, 7, 5, 8], [[1, 2], [3], [2, 2, 1], [], [1]]
    xs = [rng.normal(size=(n, 3)) for n in steps]
    for k in range(0, 5, size):
        T, S = max(steps[k : k + size]), max(map(len, labels[k : k + size]))
        x, target = np.zeros((T, len(xs[k : k + size]), 3)), np.full((S, len(xs[k : k + size])), -1)
        for b, (own, l_b) in enumerate(zip(xs[k : k + size], labels[k : k + size], strict=True)):
            x[: len(own), b], target[: len(l_b), b] = own, l_b
        yield x, target, np.array(steps[k : k + size]), None


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("loss_fn", [mr.ctc, functools.partial(mr.ctc, blank=0)])
def test_the_mean_of_several_batches_is_over_sequences(size, loss_fn):
    model = mr.Sequential(mr.GRU(3, 4, rng=0), mr.Linear(4, 4, rng=1))
    whole = evaluate(model, loss_fn, padded_batches(5))
    assert evaluate(model, loss_fn, padded_batches(size)) == pytest.approx(whole, rel=1e-13)
    history = mr.fit(
        model, loss_fn, lambda rng: padded_batches(size), mr.SGD(1e-300), 1, progress=False
    )
    assert history.loss == [pytest.approx(whole, rel=1e-13)]


def test_a_network_learns_where_labels_are_without_being_told():
    # Each label is a bump of 3 steps on its own input, at a random place.
    rng = np.random.default_rng(0)
    target = rng.integers(1, 4, (2, 16))
    x = np.zeros((16, 16, 3))
    for b in range(16):
        for s, begin in enumerate(rng.integers(0, 5, 2) + [0, 8]):
            x[begin : begin + 3, b, target[s, b] - 1] = 1
    layers = mr.LSTM(3, 12, rng=0), mr.LSTM(3, 12, rng=1)
    model = mr.Sequential(mr.Bidirectional(*layers), mr.Linear(24, 4, rng=2))
    history = mr.fit(model, mr.ctc, (x, target), mr.Adam(0.03), 120, progress=False)
    assert history.loss[-1] < 0.1 < history.loss[0]


@pytest.mark.parametrize("run", [
    lambda *a: list(mr.truncated_bptt(*a, 2, 2)), lambda *a: list(mr.rtrl(*a))
], ids=["truncated_bptt", "rtrl"])  # fmt: skip
def test_it_cannot_be_cut_into_steps(run):
    model = mr.Sequential(mr.GRU(3, 4, rng=0), mr.Linear(4, 4, rng=1))
    with pytest.raises(ValueError, match=r"loss_fn: expected .* each step, got .*ctc"):
        run(model, mr.ctc, np.zeros((4, 2, 3)), np.ones((4, 2), int))


# ---- What cannot be right -----------------------------------------------------------------------

X = np.zeros((4, 2, 3))


@pytest.mark.parametrize(
    ("logits", "target", "mask", "blank", "match"),
    [
        (X[0], [[1, 1]], None, 0, r"logits: expected shape \(T, B, V\), got \(2, 3\)"),
        (X[:0], [[1, 1]], None, 0, r"logits: .*got \(0, 2, 3\): it is empty"),
        (X, [1, 1], None, 0, r"target: expected labels of shape \(S, 2\).*got \(2,\)"),
        (X, [[1], [2]], None, 0, r"target: .*\(S, 2\).*got \(2, 1\)"),
        (X, [[0, 1]], None, 0, r"target: .*blank 0.*got 0 at \(0, 0\)"),
        (X, [[1, 2]], None, 2, r"target: .*blank 2.*got 2 at \(0, 1\)"),
        (X, [[1, 3]], None, 0, r"target: expected whole numbers in 0..2.*got 3 at \(0, 1\)"),
        (X, [[1, -2]], None, 0, r"target: .*got -2 at \(0, 1\)"),
        (X, [[1, -1], [1, 2]], None, 0, r"target: expected -1 after the first -1, got 2 at"),
        (X, [[1] * 2] * 3, None, 0, "4 steps can spell in sequence 0, got 3.*2 are.*need 5 steps"),
        (X, [[1, 1], [2, 1]], [[1, 1], [1, 1], [0, 0], [0, 0]], 0, "in sequence 1.*need 3 steps"),
        (X, [[1, 1]], [[1, 0], [1, 0], [0, 0], [0, 0]], 0, "that 0 steps can spell in sequence 1"),
        (X, [[1, 1]], [[1, 1], [0, 1], [1, 1], [1, 1]], 0, r"mask: .*first.*at \(2, 0\)"),
        (X, [[1, 1]], [[0, 1], [1, 1], [1, 1], [1, 1]], 0, r"mask: .*first.*at \(1, 0\)"),
        (X, [[1, 1]], [[2, 1]] * 4, 0, r"mask: expected 0 and 1.*got 2 at \(0, 0\)"),
        (X, [[1, 1]], [1, 1, 1, 1], 0, r"mask: expected shape \(4, 2\), got \(4,\)"),
        (X, [[1, 1]], None, 3, "blank: expected a label in 0..2, got 3"),
        (X, [[1, 1]], None, -1, "blank: expected a whole number of at least 0, got -1"),
    ],
)
def test_what_cannot_be_right_is_refused(logits, target, mask, blank, match):
    with pytest.raises(ValueError, match=match):
        mr.ctc(logits, target, mask, blank)


def test_labels_are_whole_numbers():
    with pytest.raises(TypeError, match="target: expected whole numbers, got float64"):
        mr.ctc(X, [[1.0, 2.0]])


def test_a_sequence_without_steps_says_nothing_for_certain():
    mask = np.array([[1, 0]] * 4)
    loss, d = mr.ctc(X, [[1, -1]], mask)
    assert loss == pytest.approx(mr.ctc(X[:, :1], [[1]])[0] / 2)
    assert not d[:, 1].any()
