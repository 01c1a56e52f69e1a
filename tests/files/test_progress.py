"""A training that was stopped, or killed, goes on to the same bits; Ctrl-C keeps what is best."""

import functools
import importlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minirnn as mr
from minirnn.datasets import batches
from minirnn.files import progress

fit_module = importlib.import_module("minirnn.training.fit")  # not the function of that name

OPTIMIZERS = {
    "SGD": lambda: mr.SGD(0.1),
    "momentum": lambda: mr.SGD(0.1, momentum=0.9, nesterov=True),
    "RMSProp": lambda: mr.RMSProp(0.01),
    "Adagrad": lambda: mr.Adagrad(0.1),
    "Adam": lambda: mr.Adam(0.01, weight_decay=0.1),
}
X = np.random.default_rng(0).normal(size=(6, 40, 2))
TARGET = X[0, :, :1] * X[1, :, :1]


@pytest.fixture(autouse=True)
def ctrl_c():
    """SIGINT as a terminal has it: a shell's background jobs begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def model():
    cell = mr.LSTM(2, 5, rng=1)
    return mr.Sequential(cell, mr.Dropout(0.3), mr.Last(), mr.Linear(5, 1, rng=2))


def shuffled(rng):
    return batches.shuffled(X, TARGET, 16, rng)


def train(epochs, optimizer="Adam", net=None, **options):
    """A training from the beginning or from a file: everything else is made anew."""
    net = net or model()
    given = {"validation": (X, TARGET), "rng": 3, "schedule": mr.step_decay(0.02, 2)} | options
    history = mr.fit(net, mr.mse, shuffled, OPTIMIZERS[optimizer](), epochs, **given)
    return net, history


def same(a, b):
    return all(np.array_equal(p, b.params[name]) for name, p in a.params.items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_goes_on_to_the_same_bits(optimizer, tmp_path):
    file = tmp_path / "run.npz"
    whole, expected = train(7, optimizer)
    for epochs in (1, 4, 7, 7):  # the last one finds all done
        net, history = train(epochs, optimizer, checkpoint=file, resume=True)
    assert same(net, whole) and history == expected


def test_it_goes_on_with_patience_and_its_best_parameters(tmp_path):
    file, whole = tmp_path / "run.npz", model()
    options = {"validation": (X, TARGET), "patience": 3, "rng": 3}
    expected = mr.fit(whole, mr.mse, shuffled, mr.SGD(0.5), 60, **options)
    assert expected.stopped_early and expected.best_epoch < len(expected.loss) - 1
    for epochs in (2, 5, 60, 60):
        net = model()
        options |= {"checkpoint": file, "resume": True}
        history = mr.fit(net, mr.mse, shuffled, mr.SGD(0.5), epochs, **options)
    assert same(net, whole) and history == expected


def test_a_stream_goes_on_to_the_same_bits(tmp_path):
    stream = list(zip(np.split(X, 3), np.split(X[..., :1], 3), strict=True))

    def run(epochs, **options):
        net = mr.Sequential(mr.GRU(2, 4, rng=0), mr.Linear(4, 1, rng=0))
        mr.fit(net, mr.mse, stream, mr.Adam(0.01), epochs, stateful=True, rng=0, **options)
        return net

    file = tmp_path / "run.npz"
    run(2, checkpoint=file)
    assert same(run(5, checkpoint=file, resume=True), run(5))


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from test_progress import train
print("ready", flush=True)
net, history = train(500, checkpoint=sys.argv[1], resume=True)
print("done", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_at_any_moment_it_comes_to_the_same_bits(tmp_path):
    file, kills, draw = tmp_path / "run.npz", 0, random.Random(0)
    for _ in range(40):
        command = [sys.executable, "-c", PROGRAM, str(file), str(Path(__file__).parent)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        if kills < 8:
            time.sleep(draw.uniform(0.0, 0.2))  # all 500 epochs take some seconds
            process.kill()
            kills += 1
        rest = process.communicate()[0]
        if rest == "done\n":
            break
    assert kills >= 3
    net, history = train(500, checkpoint=file, resume=True)
    whole, expected = train(500)
    assert same(net, whole) and history == expected


def test_what_does_not_fit_is_refused_and_nothing_is_changed(tmp_path):
    file = tmp_path / "run.npz"
    train(2, checkpoint=file)
    for net, optimizer, message in [
        (mr.Sequential(mr.LSTM(2, 6), mr.Last(), mr.Linear(6, 1)), "Adam", "model: "),
        (mr.Sequential(mr.LSTM(2, 5, dtype="float32"), mr.Last()), "Adam", "model: "),
        (model(), "SGD", "optimizer: expected that of .*Adam"),
    ]:
        before = {name: p.copy() for name, p in net.params.items()}
        with pytest.raises(ValueError, match=message):
            train(4, optimizer, net, checkpoint=file, resume=True)
        assert all(np.array_equal(p, before[name]) for name, p in net.params.items())
    with pytest.raises(ValueError, match="rng: expected PCG64"):
        train(4, checkpoint=file, resume=True, rng=np.random.Generator(np.random.MT19937(0)))
    with pytest.raises(FileNotFoundError, match=r"checkpoint: there is no folder .*nowhere"):
        train(4, checkpoint=tmp_path / "nowhere" / "run.npz")
    with pytest.raises(ValueError, match="resume: expected a checkpoint"):
        train(4, resume=True)
    with pytest.raises(ValueError, match="no model can be built"):
        mr.load(file)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="not a file that minirnn can read"):
        train(4, checkpoint=file, resume=True)
    mr.save(model(), file)
    with pytest.raises(ValueError, match="a saved model, not the progress"):
        train(4, checkpoint=file, resume=True)


def test_other_generators_too(tmp_path):
    file = tmp_path / "run.npz"

    def run(epochs, **options):
        return train(epochs, rng=np.random.Generator(np.random.MT19937(5)), **options)[0]

    run(2, checkpoint=file)
    assert same(run(4, checkpoint=file, resume=True), run(4))


def run(file, epochs, net=None, loss_fn=mr.mse, optimizer=None, **options):
    """A training of a stack that is easy to change, from a file if there is one."""
    net = net or mr.Sequential(mr.RNN(2, 3, rng=0), mr.Dropout(0.1), mr.Last(), mr.Linear(3, 1))
    optimizer = optimizer or mr.RMSProp(0.01)
    return mr.fit(
        net, loss_fn, (X, TARGET), optimizer, epochs, rng=0, checkpoint=file, resume=True, **options
    )


def stack(nonlinearity="tanh", p=0.1, per_sequence=False, last=mr.Last):
    dropout = mr.Dropout(p, per_sequence=per_sequence)
    return mr.Sequential(mr.RNN(2, 3, nonlinearity), dropout, last(), mr.Linear(3, 1))


def absolute(y, target):
    return float(np.abs(y - target).mean()), np.sign(y - target) / y.size


def huber(limit):
    def loss_fn(y, target):
        error = np.clip(y - target, -limit, limit)
        return float((error**2).mean()), 2 * error / y.size

    return loss_fn


@pytest.mark.parametrize(
    "other, words",
    [
        ({"net": stack("relu")}, "model: .*RNN.nonlinearity 'tanh', got 'relu'"),
        ({"net": stack(p=0.9)}, "model: .*Dropout.p 0.1, got 0.9"),
        ({"net": stack(per_sequence=True)}, "model: .*per_sequence False, got True"),
        ({"net": stack(last=lambda: mr.Activation("tanh"))}, "model: .*'Last', got 'Activation'"),
        ({"loss_fn": mr.binary_cross_entropy}, "loss_fn: .*mse', got .*binary_cross_entropy"),
        ({"loss_fn": absolute}, "loss_fn: .*mse', got 'absolute'"),
        ({"loss_fn": functools.partial(mr.mse, mask=None)}, "loss_fn: .*mse', got .*'mask'"),
        ({"optimizer": mr.Adam(0.01)}, "optimizer: .*'RMSProp', got 'Adam'"),
        ({"optimizer": mr.RMSProp(0.01, decay=0.5)}, "optimizer: .*decay 0.9, got 0.5"),
        ({"optimizer": mr.RMSProp(0.01, weight_decay=1)}, "optimizer: .*weight_decay 0.0, got 1.0"),
    ],
)
def test_another_model_loss_or_optimizer_is_refused_and_nothing_is_changed(other, words, tmp_path):
    file = tmp_path / "run.npz"
    run(file, 2)
    data, rng = file.read_bytes(), np.random.default_rng(0)
    net, optimizer = other.get("net") or stack(), other.get("optimizer") or mr.RMSProp(0.01)
    before = {name: p.copy() for name, p in net.params.items()}
    with pytest.raises(ValueError, match=words):
        run(file, 4, **{"net": net, "optimizer": optimizer} | other)
    assert all(np.array_equal(p, before[name]) for name, p in net.params.items())
    assert optimizer.steps == 0 and file.read_bytes() == data
    assert rng.random() == np.random.default_rng(0).random()


def test_the_options_of_a_loss_are_part_of_it(tmp_path):
    file = tmp_path / "run.npz"
    run(file, 1, loss_fn=huber(0.5))
    run(file, 2, loss_fn=huber(0.5), optimizer=mr.RMSProp(0.5))  # the learning rate may change
    with pytest.raises(ValueError, match=r"loss_fn: expected that of .*, 0.5, got 2"):
        run(file, 3, loss_fn=huber(2.0))


def test_averages_of_another_model_are_refused(tmp_path):
    file, optimizer = tmp_path / "run.npz", mr.RMSProp(0.01)
    optimizer.step({"other": np.ones(2)}, {"other": np.ones(2)})
    run(file, 1, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"optimizer: its averages of 'other' .* do not fit"):
        run(file, 2)


VALIDATION = (X[:, :9], TARGET[:9])


def noisy(patience=None, validation=VALIDATION, **options):
    """A training whose validation loss goes up and down."""
    net = model()
    history = mr.fit(net, mr.mse, shuffled, mr.SGD(0.5), options.pop("epochs", 12),
                     validation=validation, patience=patience, rng=3, **options)  # fmt: skip
    return net, history


@pytest.mark.parametrize("before, after", [(None, 3), (9, 3), (3, 9), (3, None), (2, 3), (None, 9)])
def test_patience_may_change_as_if_it_had_been_so_from_the_start(before, after, tmp_path):
    at = {"checkpoint": tmp_path / "run.npz", "resume": True}
    noisy(before, epochs=5, **at)
    whole, expected = noisy(after)
    net, history = noisy(after, **at)
    assert same(net, whole) and history == expected


def test_patience_that_would_have_ended_before_the_best_epoch_is_refused(tmp_path):
    at = {"checkpoint": tmp_path / "run.npz", "resume": True}
    _, history = noisy(epochs=12, **at)
    patience, end = next(
        (p, len(short.loss))
        for p in (1, 2)
        for short in [noisy(p, epochs=12)[1]]
        if short.stopped_early and len(short.loss) <= history.best_epoch
    )
    with pytest.raises(ValueError, match=f"patience: {patience} would have ended .* epoch {end}"):
        noisy(patience, epochs=15, **at)


def test_patience_that_would_have_ended_after_the_best_epoch_gives_that_result(tmp_path):
    at = {"checkpoint": tmp_path / "run.npz", "resume": True}
    _, history = noisy(epochs=12, **at)
    best = history.best_epoch
    shortest = 11 - best  # epochs after it
    assert shortest > 0
    net, history = noisy(shortest, epochs=20, **at)
    whole, expected = noisy(shortest, epochs=20)
    assert same(net, whole) and history == expected


def test_fewer_epochs_than_done_are_refused(tmp_path):
    file = tmp_path / "run.npz"
    run(file, 3)
    with pytest.raises(ValueError, match=r"epochs: expected at least 3, which .*, got 2"):
        run(file, 2)


def test_validation_may_begin_end_and_begin_again(tmp_path):
    at = {"checkpoint": tmp_path / "run.npz", "resume": True}
    whole, expected = noisy(epochs=7)
    for epochs, validation in ((2, None), (4, VALIDATION), (5, None), (7, VALIDATION)):
        net, history = noisy(validation=validation, epochs=epochs, **at)
    measured = ~np.isnan(history.val_loss)
    assert measured.tolist() == [False, False, True, True, False, True, True]
    assert np.array_equal(
        np.array(history.val_loss)[measured], np.array(expected.val_loss)[measured]
    )
    assert history.best_epoch == int(np.nanargmin(history.val_loss))
    assert same(net, whole) and history.loss == expected.loss
    net, history = noisy(1, epochs=30, **at)
    best = mr.mse(net.forward(VALIDATION[0])[0], VALIDATION[1])[0]
    assert history.stopped_early and best == min(v for v in history.val_loss if v == v)


@pytest.mark.parametrize("content", ["a model", "a text", "an archive", "nothing", "progress"])
def test_a_checkpoint_replaces_no_file_of_another_kind(content, tmp_path):
    file = tmp_path / "run.npz"
    {
        "a model": lambda: mr.save(model(), file),
        "a text": lambda: file.write_text("notes"),
        "an archive": lambda: np.savez(file, a=np.ones(3)),
        "nothing": file.touch,
        "progress": lambda: run(file, 1),
    }[content]()
    before = file.read_bytes()
    if content in ("nothing", "progress"):
        assert len(train(2, checkpoint=file)[1].loss) == 2
    else:
        with pytest.raises(ValueError, match=r"checkpoint: expected a new file .* but .* is a"):
            train(2, checkpoint=file)
        assert file.read_bytes() == before
    with pytest.raises(IsADirectoryError, match="checkpoint: expected a file"):
        train(2, checkpoint=tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match=r"checkpoint: expected a file to read again"):
            train(2, checkpoint=tmp_path / "pipe")
    for name in ("", "a\0b"):
        with pytest.raises(ValueError, match="checkpoint: expected the name of a file"):
            train(2, checkpoint=name)


def test_generators_that_data_spawns_go_on_too(tmp_path):
    file = tmp_path / "run.npz"

    def data(rng):
        return batches.shuffled(X, TARGET, 16, rng.spawn(1)[0])

    def spawning(epochs, seed=3, **options):
        net = model()
        mr.fit(net, mr.mse, data, mr.SGD(0.1), epochs, rng=np.random.default_rng(seed), **options)
        return net

    spawning(2, checkpoint=file)
    with pytest.raises(ValueError, match=r"rng: expected the seed of .*, 3, got 4"):
        spawning(5, 4, checkpoint=file, resume=True)
    assert same(spawning(5, checkpoint=file, resume=True), spawning(5))


def test_a_training_of_very_many_epochs_can_go_on(tmp_path):
    file, data = tmp_path / "run.npz", (np.ones((1, 1)), np.ones((1, 1)))
    net, optimizer, history = mr.Linear(1, 1, rng=0), mr.SGD(0.1), mr.History()
    for values in (history.loss, history.val_loss, history.grad_norm, history.lr):
        values += [1 / 3] * 50_000
    settings = progress.settings_of(net, mr.mse, optimizer)
    rng = np.random.default_rng(0)
    progress.write_progress(file, settings, net, optimizer, history, {}, rng)
    found = mr.fit(net, mr.mse, data, optimizer, 50_001, checkpoint=file, resume=True)
    assert found.loss[:-1] == history.loss and len(found.loss) == 50_001


def pressing(at, press):
    """The loss, with Ctrl-C pressed at its call number ``at``."""
    calls = []

    @functools.wraps(mr.mse)  # so that to ``fit`` it is the same loss
    def loss_fn(y, target):
        calls.append(1)
        if len(calls) == at:
            press()
        return mr.mse(y, target)

    return loss_fn


def by_signal():
    signal.raise_signal(signal.SIGINT)


def by_exception():
    raise KeyboardInterrupt


@pytest.mark.parametrize("press", [by_signal, by_exception])
def test_ctrl_c_ends_cleanly_with_the_best_parameters(press, tmp_path):
    # 3 batches and 1 validation an epoch: the 14th call is in the fourth epoch's second batch
    options = {"validation": (X, TARGET), "rng": 3, "patience": 9}
    net, file = model(), tmp_path / "run.npz"
    history = mr.fit(
        net, pressing(14, press), shuffled, mr.SGD(0.1), 50, checkpoint=file, **options
    )
    assert history.interrupted and not history.stopped_early
    assert len(history.loss) == len(history.val_loss) == 3
    other = model()
    mr.fit(other, mr.mse, shuffled, mr.SGD(0.1), history.best_epoch + 1, **options)
    assert same(net, other)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = model()  # and it can be gone on with
    mr.fit(net, mr.mse, shuffled, mr.SGD(0.1), 6, checkpoint=file, resume=True, **options)
    mr.fit(whole, mr.mse, shuffled, mr.SGD(0.1), 6, **options)
    assert same(net, whole)


def test_a_signal_waits_for_the_batch_and_a_second_one_does_not():
    net, steps = model(), []
    optimizer = mr.SGD(0.1)
    mr.fit(net, pressing(2, by_signal), shuffled, optimizer, 5, rng=0)
    assert optimizer.steps == 2  # the second batch was finished

    def twice():
        by_signal()
        by_signal()
        steps.append("not reached")

    optimizer = mr.SGD(0.1)
    history = mr.fit(net, pressing(2, twice), shuffled, optimizer, 5, rng=0)
    assert history.interrupted and optimizer.steps == 1 and not steps


@pytest.mark.parametrize("place", ["validation", "checkpoint", "schedule", "putting back", "data"])
@pytest.mark.parametrize("press", [by_signal, by_exception])
def test_ctrl_c_is_seen_wherever_it_comes(place, press, tmp_path, monkeypatch):
    net, calls = model(), []

    def once(result):
        if not calls:
            calls.append(1)
            press()
        return result

    options = {"validation": (X, TARGET), "patience": 9, "checkpoint": tmp_path / "run.npz"}
    data = shuffled
    if place == "validation":
        options["validation"] = lambda rng: once([(X, TARGET)])
    if place == "schedule":
        options["schedule"] = lambda epoch: once(0.1)
    if place == "data":
        data = lambda rng: once(shuffled(rng))  # noqa: E731
    if place == "checkpoint":
        write = fit_module.write_progress
        monkeypatch.setattr(fit_module, "write_progress", lambda *a: once(write(*a)))
    if place == "putting back":
        put_back = fit_module._put_back
        monkeypatch.setattr(fit_module, "_put_back", lambda *a: once(put_back(*a)))
    try:
        seen = mr.fit(net, mr.mse, data, mr.SGD(0.1), 1, **options).interrupted
    except KeyboardInterrupt:
        seen = True
    assert calls and seen


def test_ctrl_c_in_a_validation_ends_after_its_epoch_which_is_whole(tmp_path):
    options = {"rng": 3, "checkpoint": tmp_path / "run.npz"}
    history = mr.fit(
        model(), mr.mse, shuffled, mr.SGD(0.1), 5,
        validation=lambda rng: by_signal() or [(X, TARGET)], **options,
    )  # fmt: skip
    assert history.interrupted and len(history.loss) == len(history.val_loss) == 1
    net = model()
    options |= {"resume": True, "validation": (X, TARGET)}
    history = mr.fit(net, mr.mse, shuffled, mr.SGD(0.1), 5, **options)
    whole = model()
    assert history == mr.fit(whole, mr.mse, shuffled, mr.SGD(0.1), 5, rng=3, validation=(X, TARGET))
    assert same(net, whole)


def test_the_best_parameters_are_put_back_whole_even_if_ctrl_c_comes_twice(monkeypatch):
    class Once(dict):
        """Parameters, in the middle of which Ctrl-C is pressed once."""

        pressed = False

        def __getitem__(self, name):
            if name == "b" and not self.pressed:
                self.pressed = True
                raise KeyboardInterrupt
            return super().__getitem__(name)

    layer = mr.Linear(2, 2)
    best = {name: np.full_like(p, 7) for name, p in layer.params.items()}
    layer.params = Once(layer.params)
    with pytest.raises(KeyboardInterrupt):
        fit_module._put_back(best, layer)
    assert all((p == 7).all() for p in layer.params.values())


def test_ctrl_c_is_not_hidden_by_an_error_that_comes_after_it():
    def data(rng):
        by_signal()
        raise OSError("no data")

    with pytest.raises(KeyboardInterrupt) as caught:
        mr.fit(model(), mr.mse, data, mr.SGD(0.1), 5)
    assert isinstance(caught.value.__cause__, OSError)


def test_somebody_elses_handler_is_left_alone():
    class Mine(Exception):
        pass

    def handler(*_):
        raise Mine

    signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(Mine):
            mr.fit(model(), pressing(1, by_signal), shuffled, mr.SGD(0.1), 2)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
