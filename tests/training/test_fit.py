"""fit: what it does to the model, what it returns, and when it stops."""

import io

import numpy as np
import pytest

import minirnn as mr


def model(seed=0, dtype="float64"):
    return mr.Sequential(
        mr.GRU(1, 4, rng=seed, dtype=dtype), mr.Last(), mr.Linear(4, 1, rng=seed, dtype=dtype)
    )


def batch(seed=0, B=20):
    x = np.random.default_rng(seed).normal(size=(6, B, 1))
    return x, x[0] + x[-1]


def values(net):
    return {name: p.copy() for name, p in net.params.items()}


def test_training_lowers_the_loss_and_says_how():
    history = mr.fit(model(), mr.mse, batch(), mr.Adam(0.02), 60)
    assert history.loss[-1] < 0.25 * history.loss[0]
    assert len(history.loss) == len(history.grad_norm) == len(history.lr) == 60
    assert history.val_loss == []
    assert history.best_epoch is None
    assert not history.stopped_early


def test_an_epoch_is_bptt_and_a_step_for_each_batch():
    nets = model(), model()
    batches = [batch(0), batch(1)]
    history = mr.fit(nets[0], mr.mse, batches, mr.SGD(0.1, momentum=0.5), 2)
    optimizer, losses = mr.SGD(0.1, momentum=0.5), []
    for _ in range(2):
        for x, target in batches:
            loss, grads, _ = mr.bptt(nets[1], mr.mse, x, target)
            optimizer.step(nets[1].params, grads)
            losses.append(loss)
    assert history.loss == [np.mean(losses[:2]), np.mean(losses[2:])]
    assert all(np.array_equal(p, nets[1].params[name]) for name, p in nets[0].params.items())


def test_the_same_seed_gives_the_same_bits():
    def shuffled(rng):
        x, target = batch()
        order = rng.permutation(20)
        return [(x[:, part], target[part]) for part in np.split(order, 4)]

    results = []
    for seed in (3, 3, 4):
        net = model()
        mr.fit(net, mr.mse, shuffled, mr.Adam(), 3, rng=seed)
        results.append(values(net))
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])
    assert not all(np.array_equal(results[0][name], results[2][name]) for name in results[0])


def test_early_stopping_puts_the_best_epoch_back():
    net, seen = model(), []

    def validation(rng):
        seen.append(values(net))
        return [batch(9)]

    history = mr.fit(net, mr.mse, batch(B=3), mr.Adam(0.2), 200, validation=validation, patience=5)
    assert history.stopped_early
    assert history.best_epoch == int(np.argmin(history.val_loss))
    assert len(history.loss) == history.best_epoch + 6
    best = seen[history.best_epoch]
    assert all(np.array_equal(p, best[name]) for name, p in net.params.items())


def test_a_history_shows_what_happened_and_why_it_ended():
    assert repr(mr.fit(model(), mr.mse, batch(), mr.SGD(0.0), 1)).startswith("History(1 epoch, ")
    options = {"validation": batch(9), "patience": 2}
    history = mr.fit(model(), mr.mse, batch(), mr.SGD(0.0), 9, **options)
    loss, val_loss = f"{history.loss[0]:.4g}", f"{history.val_loss[0]:.4g}"
    assert repr(history) == (
        f"History(3 epochs, loss {loss} to {loss}, lowest val_loss {val_loss} at best_epoch=0, "
        "stopped early)"
    )
    history.stopped_early, history.interrupted = False, True
    assert repr(history).endswith("at best_epoch=0, interrupted by Ctrl-C)")


def test_validation_alone_only_watches():
    nets = model(), model()
    history = mr.fit(nets[0], mr.mse, batch(), mr.Adam(), 5, validation=batch(9))
    mr.fit(nets[1], mr.mse, batch(), mr.Adam(), 5)
    assert len(history.val_loss) == 5
    assert all(np.array_equal(p, nets[1].params[name]) for name, p in nets[0].params.items())


def test_validation_is_weighted_by_the_size_of_its_batches():
    net = model()
    x, target = batch()
    parts = [(x[:, :15], target[:15]), (x[:, 15:], target[15:])]
    one = mr.fit(net, mr.mse, batch(1), mr.SGD(0.0), 1, validation=(x, target))
    two = mr.fit(net, mr.mse, batch(1), mr.SGD(0.0), 1, validation=parts)
    assert two.val_loss == pytest.approx(one.val_loss, rel=1e-12)


def test_the_schedule_sets_the_learning_rate():
    history = mr.fit(model(), mr.mse, batch(), mr.SGD(9.0), 4, schedule=lambda e: 0.1 * 0.5**e)
    assert history.lr == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_clipping_bounds_the_step():
    net = model()
    before = values(net)
    history = mr.fit(net, mr.mse, batch(), mr.SGD(1.0), 1, max_norm=1e-3)
    moved = sum(((p - before[name]) ** 2).sum() for name, p in net.params.items())
    assert np.sqrt(moved) == pytest.approx(1e-3)
    assert history.grad_norm[0] > 1e-3


def test_lengths_and_masks_reach_the_model_and_the_loss():
    net = mr.RNN(1, 1, rng=0)
    x = np.ones((3, 2, 1))
    target = np.full((3, 2, 1), np.nan)
    target[0] = 0.5
    one = mr.fit(net, mr.mse, [(x, target, [1, 1])], mr.SGD(0.0), 1)
    two = mr.fit(net, mr.mse, [(x, target, None, [[1, 1], [0, 0], [0, 0]])], mr.SGD(0.0), 1)
    assert one.loss == two.loss
    assert np.isfinite(one.loss[0])


@pytest.mark.parametrize("where", ["x", "target", "parameter '0.W_h'"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_traced_to_its_source(where, value):
    net = model()
    x, target = batch()
    {"x": x, "target": target}.get(where, net.params["0.W_h"])[0, 0] = value
    if where == "x" and value == np.inf:
        return  # a gate at its end: the loss is finite, and rightly so
    before = values(net)
    with pytest.raises(FloatingPointError, match=f"step 1 .epoch 1, batch 1.*since {where} has 1"):
        mr.fit(net, mr.mse, (x, target), mr.SGD(0.1), 3)
    assert all(np.array_equal(p, before[name], equal_nan=True) for name, p in net.params.items())


def test_an_explosion_stops_before_it_reaches_the_parameters():
    net = mr.Sequential(mr.RNN(1, 3, "relu", rng=0), mr.Linear(3, 1, rng=0))
    net.params["0.W_h"][...] = 3 * np.eye(3)
    net.params["0.W_x"][...] = 1
    x, target = np.ones((400, 2, 1)), np.zeros((400, 2, 1))
    with pytest.raises(FloatingPointError, match=r"step 1 \(epoch 1, batch 1\)") as caught:
        mr.fit(net, mr.mse, (x, target), mr.SGD(0.1), 3)
    assert "max_norm" in str(caught.value)
    assert all(np.isfinite(p).all() for p in net.params.values())


def test_a_gradient_that_is_not_finite_is_named():
    net = model()
    right = net.backward

    def backward(dy, cache):
        dx, dstate, grads = right(dy, cache)
        if optimizer.steps == 2:
            grads["0.W_x"][0, 1] = np.inf
        return dx, dstate, grads

    net.backward, optimizer = backward, mr.SGD(0.1)
    with pytest.raises(FloatingPointError, match=r"step 3 \(epoch 3, batch 1\).*'0.W_x' \(1 of 12"):
        mr.fit(net, mr.mse, batch(), optimizer, 5)


def test_a_validation_loss_that_is_not_finite_stops():
    x, target = batch()
    with pytest.raises(FloatingPointError, match="epoch 1: the validation loss is nan"):
        mr.fit(model(), mr.mse, batch(), mr.Adam(), 3, validation=(x, target * np.nan))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    "stream, progress, drawn",
    [
        (Terminal, None, True),
        (Terminal, False, False),
        (io.StringIO, None, False),
        (io.StringIO, True, True),
    ],
)
def test_the_progress_bar_is_for_terminals(stream, progress, drawn, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream())
    import sys

    mr.fit(model(), mr.mse, batch(), mr.Adam(), 2, validation=batch(1), progress=progress)
    text = sys.stderr.getvalue()
    assert ("2/2" in text and "loss=" in text and "val=" in text) == drawn
    assert drawn or text == ""


@pytest.mark.parametrize(
    "data, words",
    [
        ([], "data: expected at least one batch"),
        ([batch()[0]], "data: expected batches"),
        ([(1, 2, 3, 4, 5)], "data: expected batches"),
        (lambda rng: [], "data: expected at least one batch"),
    ],
)
def test_data_of_another_form_is_refused(data, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mr.fit(model(), mr.mse, data, mr.Adam(), 1)


def test_a_generator_that_is_used_up_is_noticed():
    with pytest.raises(ValueError, match="used up"):
        mr.fit(model(), mr.mse, (b for b in [batch()]), mr.Adam(), 2)


def test_padding_is_not_blamed():
    net = mr.Sequential(mr.RNN(1, 2, rng=0), mr.Linear(2, 1, rng=0))
    x, target = np.zeros((3, 2, 1)), np.zeros((3, 2, 1))
    x[2, 1] = np.nan
    target[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="since target has 1 values"):
        mr.fit(net, mr.mse, (x, target, [3, 2]), mr.SGD(0.1), 1)
