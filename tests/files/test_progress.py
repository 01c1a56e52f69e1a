"""A training that was stopped, or killed, goes on to the same bits; Ctrl-C keeps what is best."""

import functools
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
