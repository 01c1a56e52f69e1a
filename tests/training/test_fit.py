"""fit: what it does to the model, what it returns, and when it stops."""

import io
import math
import shutil

import numpy as np
import pytest

import minirnn as mr
from minirnn.training.bptt import evaluate


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
    assert history.loss == pytest.approx([np.mean(losses[:2]), np.mean(losses[2:])], rel=1e-14)
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


def sequences(T=4, B=3):
    net = mr.Sequential(mr.RNN(2, 4, rng=0), mr.Linear(4, 2, rng=1))
    x = np.random.default_rng(0).normal(size=(T, B, 2))
    return net, x, x[::-1].copy()


X3, T3 = np.ones((4, 3, 1)), np.ones((3, 1))
FORMS = r"expected batches \(x, target\), \(x, target, lengths\) or"


@pytest.mark.parametrize(
    "data, words",
    [
        ((X3, T3, np.ones((4, 3), bool)), r"lengths: .*bool \(4, 3\); a mask stands in the fourth"),
        ((X3, T3, np.ones(3, bool)), "lengths: .*got bool.*a mask stands in the fourth"),
        ((X3, T3, np.ones((4, 3), int)), r"lengths: .*int64 \(4, 3\); a mask"),
        ((X3, T3, [4.0, 2.0, 1.0]), "lengths: expected whole numbers .*float64"),
        ((X3, T3, [4, 2, 1, 1]), r"lengths: expected 3, one for each .*got 4; is x batch first"),
        ((X3, T3, [4, 2]), r"lengths: expected 3, one for each .*got 2$"),
        ((X3, T3, np.ma.masked_array([4, 2, 1])), "lengths: expected numbers without gaps"),
        (([X3, X3], [T3, T3]), f"data: {FORMS}.*a list of 2 as x"),
        ([[X3, X3], [T3, T3]], f"data: {FORMS}.*got list of 2"),
        ((X3.tolist(), T3.tolist()), f"data: {FORMS}.*a list of 4 as x"),
        (([X3[:, 0], X3[:, 1]], np.ones(2)), f"data: {FORMS}.*a list of 2 as x"),
        (([], T3), r"x: expected shape \(T, B, 1\)"),
        ([X3, X3], f"data: {FORMS}.*got ndarray of 4"),
        ({"x": X3, "target": T3}, f"data: {FORMS}.*got str of 1"),
        ((X3, np.ma.masked_array(T3)), "target: expected numbers without gaps"),
        ((X3, T3.astype(object)), "target: expected real numbers, got object"),
        ((X3, T3 + 1j), "target: expected real numbers, got complex128"),
    ],
)
@pytest.mark.parametrize("place", ["data", "validation"])
def test_a_batch_of_another_form_is_refused_with_the_right_one(data, words, place):
    given = {"data": (X3, T3), "validation": (X3, T3)} | {place: data}
    with pytest.raises((ValueError, TypeError), match=words.replace("data: ", f"{place}: ")):
        mr.fit(model(), mr.mse, given["data"], mr.SGD(0.0), 1, validation=given["validation"])


def test_a_layer_that_needs_no_lengths_does_not_let_a_mask_in_their_place_pass():
    with pytest.raises(TypeError, match=r"lengths: .*a mask stands in the fourth"):
        mr.fit(mr.Linear(1, 1), mr.mse, (T3, T3, np.ones((3, 1))), mr.SGD(0.0), 1)


def test_a_list_is_a_target_as_in_bptt():
    net = mr.Sequential(mr.GRU(1, 4, rng=0), mr.Last(), mr.Linear(4, 2, rng=0))
    found = [
        mr.fit(net, mr.softmax_cross_entropy, data, mr.SGD(0.0), 1).loss
        for data in ((X3, [0, 1, 1]), [(X3, [0, 1, 1])], (X3, np.array([0, 1, 1])))
    ]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("empty", ["lengths", "mask"])
@pytest.mark.parametrize("stateful", [False, True])
def test_a_batch_without_a_target_that_counts_changes_nothing(empty, stateful):
    histories = []
    for with_it in (False, True):
        net, x, target = sequences()
        nothing = (x, target, [0] * 3) if empty == "lengths" else (x, target, None, x[..., 0] * 0)
        full = (x, target, [4, 2, 3])
        data = [nothing, full, nothing][0 if with_it else 1 : 3 if with_it else 2]
        options = {"stateful": stateful} if empty == "lengths" else {}  # whose state stays, too
        optimizer = mr.SGD(0.1)
        histories.append(mr.fit(net, mr.mse, data, optimizer, 3, validation=data, **options))
        assert optimizer.steps == 3
    assert histories[0] == histories[1]


@pytest.mark.parametrize("place", ["data", "validation"])
def test_weights_count_in_the_loss_of_an_epoch_as_in_one_batch(place):
    net, x, target = sequences(B=4)
    weights = np.random.default_rng(1).uniform(0, 3, x.shape[:2])
    weights[2, :] = 0
    parts = [(x[:, k : k + 3], target[:, k : k + 3], None, weights[:, k : k + 3]) for k in (0, 3)]
    expected, _ = mr.mse(net.forward(x)[0], target, weights)
    given = {"data": parts, "validation": parts} | {place: (x, target, None, weights)}
    history = mr.fit(net, mr.mse, given["data"], mr.SGD(0), 1, validation=given["validation"])
    assert history.loss == pytest.approx([expected], rel=1e-14)
    assert history.val_loss == pytest.approx([expected], rel=1e-14)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused_for_a_loss_of_one_s_own_too(bad):
    net, x, target = sequences()
    own = lambda y, target, mask=None: mr.mse(y, target)  # noqa: E731
    weights = np.full(x.shape[:2], bad)
    with pytest.raises(ValueError, match=f"mask: .*at least 0, got {bad}"):
        mr.fit(net, own, (x, target, None, weights), mr.SGD(0.1), 1)
    with pytest.raises(ValueError, match="mask: expected weights with a finite sum"):
        mr.fit(net, own, (x, target, None, np.full(x.shape[:2], 1e308)), mr.SGD(0.1), 1)


@pytest.mark.parametrize("place", ["data", "validation"])
def test_an_epoch_without_any_target_that_counts_is_refused(place):
    net, x, target = sequences()
    given = {"data": (x, target), "validation": (x, target)} | {place: [(x, target, [0] * 3)] * 2}
    words = f"{place}: expected at least one target that counts, but lengths or masks"
    with pytest.raises(ValueError, match=words):
        mr.fit(net, mr.mse, given["data"], mr.SGD(0.1), 1, validation=given["validation"])


@pytest.mark.parametrize("validation", [None, batch()])
@pytest.mark.parametrize(
    "layer, words",
    [
        (lambda: mr.Bidirectional(mr.GRU(2, 2), mr.GRU(2, 2)), "Bidirectional needs the whole"),
        (mr.Last, "Last needs the whole sequence"),
    ],
)
def test_a_state_is_not_carried_on_in_a_model_that_needs_the_whole_sequence(
    layer, words, validation
):
    net, x, target = sequences()
    net = mr.Sequential(mr.Sequential(net, layer()))
    with pytest.raises(ValueError, match=words):
        mr.fit(net, mr.mse, (x, target), mr.SGD(0.1), 1, validation=validation, stateful=True)
    with pytest.raises(ValueError, match=words):
        evaluate(net, mr.mse, [(x, target, None, None)], stateful=True)


def test_parameters_that_an_update_has_spoiled_are_noticed_before_the_checkpoint(tmp_path):
    net, x, target = sequences()
    file = tmp_path / "run.npz"
    options = {"checkpoint": file, "progress": False}
    mr.fit(net, mr.mse, (x, target), mr.Adam(), 2, **options)
    good = file.read_bytes()
    words = "epoch 3: after the update parameter '0.W_x' has [0-9]+ values that are not finite"
    with pytest.raises(FloatingPointError, match=words) as caught:
        mr.fit(
            net, mr.mse, (x, target), mr.Adam(), 9, resume=True,
            schedule=lambda epoch: 1e308 if epoch == 2 else 1e-3, **options,
        )  # fmt: skip
    assert len(caught.value.history.loss) == 2
    assert file.read_bytes() == good


def diverging(ends):
    """A training whose epoch 4 ends in an error: by its loss, its parameters, or its data."""
    rates = {"loss": 1e200, "parameters": 1e308}

    def data(rng):
        if seen == 3 and ends == "data":
            raise OSError("the disk has gone")
        return [(np.ones((4, 1)), np.zeros((4, 1)))]

    def schedule(epoch):
        nonlocal seen
        seen = epoch
        return rates.get(ends, 0.1) if epoch == 3 else 0.1

    seen, net = 0, mr.Linear(1, 1, rng=0)
    validation = (np.ones((4, 1)), np.zeros((4, 1)))
    return net, lambda **options: mr.fit(
        net, mr.mse, data, mr.SGD(0.1), 8, validation=validation, schedule=schedule, **options
    )


@pytest.mark.parametrize("ends", ["loss", "parameters", "data"])
def test_an_error_brings_the_best_parameters_back_and_keeps_the_history(ends):
    net, train = diverging(ends)
    with pytest.raises((FloatingPointError, OSError)) as caught:
        train(patience=50)
    history = caught.value.history
    assert len(history.val_loss) == 3 and history.best_epoch == 2
    assert mr.mse(net.forward(np.ones((4, 1)))[0], np.zeros((4, 1)))[0] == history.val_loss[2]
    assert "attribute history of this error is History(3 epochs" in caught.value.__notes__[0]


def test_a_checkpoint_that_cannot_be_written_loses_nothing(tmp_path):
    net, train = diverging(None)
    folder = tmp_path / "gone"
    folder.mkdir()

    def vanish(net, forward=net.forward):
        def gone(x, *rest):
            if folder.exists() and optimizer_has_moved():
                shutil.rmtree(folder)
            return forward(x, *rest)

        return gone

    before = values(net)

    def optimizer_has_moved():
        return not np.array_equal(net.params["W"], before["W"])

    net.forward = vanish(net)
    with pytest.raises(OSError) as caught:
        train(patience=50, checkpoint=folder / "run.npz")
    assert len(caught.value.history.loss) == 1 and optimizer_has_moved()


@pytest.mark.parametrize("inf", [np.inf, math.inf, np.float64("inf")])
def test_an_infinite_max_norm_does_not_clip(inf):
    nets = model(), model()
    mr.fit(nets[0], mr.mse, batch(), mr.SGD(0.1), 1, max_norm=inf)
    mr.fit(nets[1], mr.mse, batch(), mr.SGD(0.1), 1)
    assert all(np.array_equal(p, nets[1].params[name]) for name, p in nets[0].params.items())
    with pytest.raises(ValueError, match="max_norm: expected a number in"):
        mr.fit(model(), mr.mse, batch(), mr.SGD(0.1), 1, max_norm=math.nan)


class Broken(Terminal):
    """A terminal that goes away."""

    def write(self, text):
        raise OSError("no terminal")


def closed():
    stream = Terminal()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [lambda: None, closed, Broken, object])
@pytest.mark.parametrize("progress", [None, True])
def test_no_trouble_with_the_progress_bar_ends_a_training(stream, progress, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream())
    history = mr.fit(model(), mr.mse, batch(), mr.SGD(0.1), 2, progress=progress)
    monkeypatch.undo()
    assert len(history.loss) == 2


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
