"""``minirnn char-lm --text FILE...``: a language model of characters from texts of one's own.

The last tenth of each file is for testing; of the rest, a part decides when to stop. One GRU, whose
size fits the time (``--minutes``): the more often it can read the text in that time, the larger it
may be. Characters that occur once in the training part become ``<unk>``, so that the model knows
what to do with one that it has never seen.
"""

import functools
import hashlib
import math
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minirnn as mr
from minirnn.commands import training
from minirnn.datasets import batches, texts

KIND = "char-lm"  # what the model's file says of itself
FEWEST = 1000  # characters
STREAMS, STEPS = 32, 64
PARTS = 20  # of a training: a line is printed, and progress is written, after each
SIZES = (512, 256, 128, 64)  # units
ENOUGH = 700, 3  # batches, and passes over the text, for which a size must leave the time
SHARE = 0.8  # of the minutes is for training, the rest for n-grams and the test


class Trained(NamedTuple):
    """A model of own texts, with what is shown of it."""

    name: str
    model: Any
    alphabet: list[str]
    train: np.ndarray  # tokens, with those that decided when to stop
    test: np.ndarray
    curve: np.ndarray  # bits per character of the validation part, after each part of the training
    figures: dict[str, float]


def train(settings, paths, encoding=None, minutes=None, units=None, fresh=False):
    """Train a model on the texts in these files, and save it in ``settings.out``."""
    seed, out, epochs, quick, _ = settings
    minutes = minutes or (0.1 if quick else 2)
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    found = read(paths, encoding, quick)
    alphabet = alphabet_of(split(found)[0])
    tokens = [texts.characters(part, alphabet)[0] for part in split(found)]
    V, n = len(alphabet), len(tokens[0])
    of = {"seed": seed, "epochs": epochs, "minutes": minutes, "units": units, "text": digest(found)}
    with tempfile.TemporaryDirectory() as nowhere:
        folder = Path(nowhere) if out is None else out
        folder.mkdir(parents=True, exist_ok=True)
        decide = functools.partial(plan, V, n, 60 * minutes * SHARE, epochs, units)
        job = training.begin(folder, of, decide, fresh)
        rng, started = np.random.default_rng(seed), time.perf_counter()
        model, history = fitted(job, V, tokens, rng)
        seconds = time.perf_counter() - started
        if not np.any(tokens[0] == V - 1):  # <unk> was never seen: it is like any other
            e = model.params["0.W"]
            e[-1] = e[:-1].mean(axis=0)
        bits = test_bits(model, tokens[2])
        name = "GRU {units}, {batches} batches".format(**job.plan)
        about = {"kind": KIND, "alphabet": alphabet, "bits per character": bits}
        mr.save(model, folder / "char-lm.npz", about)
        training.end(job)
    if out is not None:
        print(f"\nwrite with it: minirnn write {out / 'char-lm.npz'} --prompt TEXT\n", flush=True)
    curve = np.array(history.val_loss) / math.log(2)
    figures = {"test": bits, "seconds": seconds}
    whole = np.concatenate(tokens[:2])
    return Trained(name, model, alphabet, whole, tokens[2], curve, figures)


def read(paths, encoding=None, quick=False):
    """The texts of some files."""
    found = []
    for path in paths:
        text = texts.of_a_user(path, encoding)
        name = "standard input" if str(path) == "-" else path
        if not text.strip():
            raise ValueError(f"{name}: expected a text, got an empty file")
        print(f"{name}: {len(text)} characters, {len(set(text))} different", flush=True)
        found.append(text[: 60000 // len(paths)] if quick else text)
    total = sum(map(len, found))
    if total < FEWEST:
        names = ", ".join(map(str, paths))
        raise ValueError(
            f"{names}: expected at least {FEWEST} characters, got {total}; with so few nothing can "
            "be learned"
        )
    return found


def split(found):
    """Training, validation and test part: 85, 5 and 10 % of each text, in its order."""
    cuts = [[round(share * len(text)) for share in (0, 0.85, 0.9, 1)] for text in found]
    return [
        "".join(text[cut[k] : cut[k + 1]] for text, cut in zip(found, cuts, strict=True))
        for k in range(3)
    ]


def alphabet_of(text):
    """The characters that occur at least twice, in order, and <unk>."""
    return [*sorted(c for c, n in Counter(text).items() if n > 1), texts.UNKNOWN]


def digest(found):
    """A number that is another one for other texts."""
    return hashlib.sha256("\0".join(found).encode("utf-8", "surrogatepass")).hexdigest()


def plan(V, n, seconds, epochs, units):
    """How many units, and how many batches: the largest model that can see enough of the text in
    this time, by the speed of this machine. epochs, units: as the user wants it, or None."""
    a_pass = len(list(batches.stream(np.zeros(n), STREAMS, STEPS)))
    batches_, passes = ENOUGH
    for H in (units,) if units else SIZES:
        number = epochs * a_pass if epochs else max(PARTS, int(seconds / time_of_batch(V, H)))
        if number >= max(batches_, passes * a_pass):
            break
    print(
        f"a GRU of {H} units, {V} characters, {number} batches: reads the training part "
        f"{number / a_pass:.1f} times\n(the same again: --units {H} --epochs "
        f"{max(1, round(number / a_pass))})",
        flush=True,
    )
    return {"units": H, "batches": number, "passes": number / a_pass}


def time_of_batch(V, H):
    """Seconds that a batch takes on this machine."""
    model, optimizer = make(V, H, 0.0, np.random.default_rng(0)), mr.Adam()
    x = np.random.default_rng(0).integers(0, V, (STEPS, STREAMS))
    times = []
    for _ in range(6):  # the first one may have to compile
        started = time.perf_counter()
        _, grads, _ = mr.bptt(model, mr.softmax_cross_entropy, x, x)
        optimizer.step(model.params, grads)
        times.append(time.perf_counter() - started)
    return sum(times[1:]) / 5


def make(V, H, dropout, rng):
    """Embedding, GRU, dropout, linear."""
    o = {"rng": rng, "dtype": np.float32}
    E = min(H, 64)
    return mr.Sequential(
        mr.Embedding(V, E, **o), mr.GRU(E, H, **o), mr.Dropout(dropout), mr.Linear(H, V, **o)
    )


def fitted(job, V, tokens, rng):
    """The trained model, and its history. A part of the training is an epoch to ``fit``: it goes on
    in the text where the part before it ended."""
    H, number, passes = job.plan["units"], job.plan["batches"], job.plan["passes"]
    parts = min(PARTS, number)
    dropout = 0.0 if passes < 10 else 0.2 if passes < 20 else 0.5  # a text read often is learned
    model, optimizer = make(V, H, dropout, rng), mr.Adam()
    pieces = list(batches.stream(tokens[0], STREAMS, STEPS))

    def data(rng):
        done = optimizer.steps  # which a training that is taken up again knows, too
        part = -(-done * parts // number)
        return (pieces[k % len(pieces)] for k in range(done, number * (part + 1) // parts))

    validation = list(batches.stream(tokens[1], 1, 1000))
    fit = functools.partial(
        mr.fit, model, mr.softmax_cross_entropy, data, optimizer, stateful=True, max_norm=1.0,
        schedule=mr.cosine(rate(H), parts, warmup=min(1, parts - 1)), rng=rng, patience=5,
        validation=validation,
    )  # fmt: skip

    def tell(history):
        train, val = (v[-1] / math.log(2) for v in (history.loss, history.val_loss))
        return f"{train:.3f} bits per character, validation {val:.3f}"

    history = training.train(job, fit, parts, tell, "part")
    return model, history


def rate(H):
    """The learning rate, smaller for more units."""
    return 0.01 * min(1.0, 128 / H)


def test_bits(model, tokens):
    """Bits per character of a text that is read from its beginning to its end."""
    state, nats, n = None, 0.0, 0
    for x, target, *_ in batches.stream(tokens, 1, 1000):
        with mr.no_cache():
            y, state, _ = model.forward(x, state)
        nats += len(x) * mr.softmax_cross_entropy(y, target)[0]
        n += len(x)
    return nats / n / math.log(2)
