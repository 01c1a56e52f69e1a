"""Truncated BPTT and real-time recurrent learning, each against an oracle of its own."""

import numpy as np
import pytest
from cases import arrays, flatten, randomised, same

import minirnn as mr
from minirnn.checking.catalogue import example
from minirnn.protocol import map_tree

MODELS = ["RNN", "LSTM", "GRU after", "GRU before", "GRU LSTM Linear"]


def problem(name, T=7, B=2, seed=0):
    rng = np.random.default_rng(seed)
    model = randomised(name)
    x = example(name, rng, T, B).x
    y, state, _ = model.forward(x)
    state = map_tree(lambda s: rng.normal(size=s.shape), state)
    return model, x, rng.normal(size=y.shape), state


@pytest.mark.parametrize("name", MODELS)
def test_one_block_of_everything_is_bptt(name):
    model, x, target, state = problem(name)
    ((loss, grads, final),) = mr.truncated_bptt(model, mr.mse, x, target, 7, 7, state)
    expected, right, right_final = mr.bptt(model, mr.mse, x, target, state)
    assert loss == pytest.approx(expected, rel=1e-14)
    same([grads, final], [right, right_final])


@pytest.mark.parametrize("k1, k2", [(1, 1), (1, 3), (2, 2), (2, 3), (2, 5), (3, 3), (3, 4), (3, 7),
                                    (1, 7), (4, 6), (5, 5), (7, 9), (2, 100)])  # fmt: skip
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lengths", [None, [7, 4]])
def test_each_gradient_is_that_of_its_block_with_the_boundary_state_frozen(name, k1, k2, lengths):
    """Finite differences of the block's loss, computed without truncated_bptt."""
    model, x, target, state = problem(name)
    ends = np.array(lengths or [7, 7])
    blocks = list(mr.truncated_bptt(model, mr.mse, x, target, k1, k2, state, lengths))
    assert len(blocks) == -(-7 // k1)
    rng = np.random.default_rng(1)
    for (loss, grads, final), block in zip(blocks, range(0, 7, k1), strict=True):
        end = min(block + k1, 7)
        begin = max(0, end - k2)
        boundary = model.forward(x[:begin], state, np.minimum(ends, begin))[1] if begin else state

        def block_loss():
            part = np.clip(ends - begin, 0, end - begin)
            y, final, _ = model.forward(x[begin:end], boundary, part)
            counts = np.arange(block, end)[:, None] < ends
            return mr.mse(y[block - begin :], target[block:end], counts)[0], final

        expected, right_final = block_loss()
        assert loss == pytest.approx(expected, rel=1e-13)
        same(final, right_final)
        same(final, model.forward(x[:end], state, np.minimum(ends, end))[1])  # no break
        for key, p in model.params.items():
            v = rng.normal(size=p.shape)
            v /= np.linalg.norm(v)
            original, h, values = p.copy(), 1e-3, []
            for step in (2 * h, h, -h, -2 * h):
                p[...] = original + step * v
                values.append(block_loss()[0])
            p[...] = original
            measured = (-values[0] + 8 * values[1] - 8 * values[2] + values[3]) / (12 * h)
            assert np.sum(grads[key] * v) == pytest.approx(measured, rel=1e-7, abs=1e-9)


def test_truncation_neglects_something():
    model, x, target, state = problem("LSTM")
    gradients = [
        list(mr.truncated_bptt(model, mr.mse, x, target, 1, k2, state))[-1][1]["W_h"]
        for k2 in (1, 3, 5, 7)
    ]
    errors = [np.linalg.norm(g - gradients[-1]) for g in gradients]
    assert errors[0] > errors[1] > errors[2] > 0


def test_parameters_may_change_between_the_blocks():
    model, x, target, _ = problem("GRU LSTM Linear")
    adam = mr.Adam(lr=0.1)
    for _, grads, _ in mr.truncated_bptt(model, mr.mse, x, target, 2, 5):
        adam.step(model.params, grads)
    other = randomised("GRU LSTM Linear")
    assert not np.array_equal(other.params["0.W_h"], model.params["0.W_h"])


def test_a_long_stream_in_batches_is_one_long_sequence():
    model, x, target, state = problem("LSTM", T=12)
    whole = [g for _, g, _ in mr.truncated_bptt(model, mr.mse, x, target, 3, 3, state)]
    parts = []
    for t in (0, 6):
        blocks = list(mr.truncated_bptt(model, mr.mse, x[t:][:6], target[t:][:6], 3, 3, state))
        parts += [grads for _, grads, _ in blocks]
        state = blocks[-1][2]
    same(whole, parts, 0)


def test_blocks_without_a_target_are_passed_over():
    model, x, target, _ = problem("RNN")
    mask = np.zeros((7, 2))
    mask[5] = 1
    ((loss, grads, _),) = mr.truncated_bptt(model, mr.mse, x, target, 1, 4, mask=mask)
    y, _, _ = model.forward(x)
    assert loss == pytest.approx(mr.mse(y[5], target[5])[0])


@pytest.mark.parametrize("name", [*MODELS, "RNN relu", "LSTM peephole"])
def test_rtrl_equals_bptt_to_rounding(name):
    model, x, target, state = problem(name)
    steps = list(mr.rtrl(model, mr.mse, x, target, state))
    backwards = list(mr.truncated_bptt(model, mr.mse, x, target, 1, 7, state))
    same([loss for loss, _, _ in steps], [loss for loss, _, _ in backwards])
    same([g for _, g, _ in steps], [g for _, g, _ in backwards], 1e-12)
    same(steps[-1][2], backwards[-1][2])
    _, full, _ = mr.bptt(model, mr.mse, x, target, state)
    total = {key: sum(g[key] for _, g, _ in steps) / 7 for key in full}
    same(total, full, 1e-12)


def test_rtrl_starts_from_zeros_and_has_the_shapes_of_the_parameters():
    model, x, target, state = problem("LSTM")
    zeros = map_tree(np.zeros_like, state)
    first = list(mr.rtrl(model, mr.mse, x, target))
    same(first, list(mr.rtrl(model, mr.mse, x, target, zeros)), 0)
    assert {k: g.shape for k, g in first[0][1].items()} == {
        k: p.shape for k, p in model.params.items()
    }
    assert len(arrays(first[0][2])) == 2
    assert flatten(first[-1][1])


@pytest.mark.parametrize("method", [lambda *a: mr.truncated_bptt(*a, 2, 2), mr.rtrl])
@pytest.mark.parametrize(
    "name, words",
    [("Bidirectional", "Bidirectional needs the whole"), ("LSTM Last Linear", "Last needs the")],
)
def test_models_that_need_the_whole_sequence_are_refused(method, name, words):
    with pytest.raises(ValueError, match=words):
        next(method(randomised(name), mr.mse, np.ones((4, 2, 2)), np.ones((4, 2, 3))))


@pytest.mark.parametrize(
    "k1, k2, words", [(3, 2, "k2: expected at least k1 = 3, got 2"), (0, 2, "k1: .*at least 1")]
)
def test_wrong_k(k1, k2, words):
    model, x, target, _ = problem("RNN")
    with pytest.raises(ValueError, match=words):
        next(mr.truncated_bptt(model, mr.mse, x, target, k1, k2))
    with pytest.raises(
        ValueError, match=r"target: expected one a step, \(7, 2\), got shape \(2, 3\)"
    ):
        next(mr.truncated_bptt(model, mr.mse, x, target[0], 1, 1))


def test_the_blocks_of_weighted_steps_add_up_to_bptt():
    model, x, target, state = problem("LSTM")
    weights = np.random.default_rng(2).uniform(0, 3, (7, 2))
    loss, grads, _ = mr.bptt(model, mr.mse, x, target, state, mask=weights)
    shares = [weights[t : t + 2].sum() / weights.sum() for t in range(0, 7, 2)]
    blocks = list(mr.truncated_bptt(model, mr.mse, x, target, 2, 7, state, mask=weights))
    total = sum(share * own for share, (own, _, _) in zip(shares, blocks, strict=True))
    assert total == pytest.approx(loss, rel=1e-14)
    for name, g in grads.items():
        same(sum(share * own[name] for share, (_, own, _) in zip(shares, blocks, strict=True)), g)


def test_a_mask_may_have_the_axis_of_the_outputs():
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(2, 6, 3, 1))
    mask = rng.random((6, 3)) < 0.7
    model = mr.Sequential(mr.RNN(1, 4, rng=0), mr.Linear(4, 1, rng=0))
    flat, deep = (
        [g for _, g, _ in mr.truncated_bptt(model, mr.mse, x, target, 2, 3, mask=m)]
        for m in (mask, mask[..., None])
    )
    for a, b in zip(flat, deep, strict=True):
        same(a, b)
