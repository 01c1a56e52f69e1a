"""A language model of characters, trained on a text with truncated back-propagation.

The text is cut into 32 streams, which continue from batch to batch with their state; the gradient
goes back 64 steps. The first 90 % are for training, the rest for testing. The figure is bits per
character: how many yes-or-no questions the model would have to ask, on average, to know the next
one. To compare with: counting what followed the last 0, 1, 2 and 4 characters (n-grams with n = 1,
2, 3, 5), smoothed by Witten & Bell (1991), where each order falls back on the one below it.

With --text, any files instead of Shakespeare: one GRU whose size fits the --minutes; it is saved,
and "minirnn write" goes on from there. Ctrl-C, and later the same command again, loses nothing.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import minirnn as mr
from minirnn.commands.common import minutes, positive
from minirnn.datasets import batches, texts
from minirnn.experiments import Experiment, Result, Settings, own_text
from minirnn.files import npz

EXPERIMENT = Experiment(
    title="a language model of characters, what it writes, and n-grams",
    unit="bits per character",
    digits=".3f",
    seconds=900,
    data="1 MB",
    reference="PyTorch, 1000 steps: 2.86 (2.84 to 2.87); unigram 4.83, bigram 3.58; "
    "bigger: below 2.2",
    options={
        "text": {"nargs": "+", "metavar": "FILE", "help": "texts of your own; - is standard input"},
        "encoding": {"metavar": "NAME", "help": "of the texts, such as cp1252; without it UTF-8"},
        "minutes": {"type": minutes, "metavar": "N", "help": "for a text of your own (default: 2)"},
        "units": {
            "type": positive,
            "metavar": "N",
            "help": "size; without it: as fits the minutes",
        },
        "fresh": {"action": "store_true", "help": "begin anew where a training is unfinished"},
    },
)
STREAMS, STEPS = 32, 64
# Name: units of each layer, epochs (of 490 batches for Shakespeare), learning rate, dropout.
MODELS = {
    "LSTM 128": ((128,), 2, 2e-3, 0.0),
    "2 x LSTM 512": ((512, 512), 7, 2e-3, 0.3),
}


def run(
    settings: Settings,
    text: Sequence[str | Path] | None = None,
    encoding: str | None = None,
    minutes: float | None = None,
    units: int | None = None,
    fresh: bool = False,
) -> Result:
    """Train, write ``samples.txt`` and ``char-lm.png``; returns bits and seconds by model.

    text: files, instead of Shakespeare; then ``char-lm.npz`` is written, too. The other arguments
    are for these, see ``own_text``.
    """
    seed, _, epochs, quick, progress = settings
    if text is not None:
        own = own_text.train(settings, text, encoding, minutes, units, fresh)
        model, alphabet, train, test, V = *own[1:5], len(own.alphabet)
        curves, result = {own.name: own.curve}, {own.name: own.figures}
    else:
        if encoding or minutes or units or fresh:
            raise ValueError("--encoding, --minutes, --units, --fresh: expected --text with them")
        content = texts.shakespeare(progress)
        tokens, alphabet = texts.characters(content[:60000] if quick else content)
        split = int(0.9 * len(tokens))
        train, test, V = tokens[:split], tokens[split:], len(alphabet)
        model, curves, result = classic(train, test, V, settings)
    for order, ngrams in ((1, "unigram"), (2, "bigram"), (3, "trigram"), (5, "5-gram")):
        result[ngrams] = {"test": witten_bell(train, test, V, order)}
    if text is not None:
        print(verdict(own.figures["test"], result["5-gram"]["test"]), flush=True)
    settings.draw(draw, model, alphabet, seed, curves, result)
    return result


def verdict(network, ngrams):
    """Which of two needs fewer bits for the test part."""
    if network < ngrams:
        return f"The network is better than 5-grams, by {ngrams - network:.2f} bits per character."
    return (
        f"5-grams are better here, by {network - ngrams:.2f} bits per character: use them, or give "
        "the network more --minutes."
    )


def classic(train, test, V, settings):
    """Train each of ``MODELS``; the last one, bits after each epoch by model, and the figures."""
    seed, _, epochs, quick, progress = settings
    curves, result = {}, {}
    for name, (sizes, default, lr, dropout) in list(MODELS.items())[: 1 if quick else None]:
        rng = np.random.default_rng(seed)
        model = make(V, sizes, dropout, rng)
        k, started = epochs or (1 if quick else default), time.perf_counter()
        if len(sizes) == 1:  # little trained: say how little
            name += f", {k * len([*batches.stream(train, STREAMS, STEPS)])} batches"
        rate = (lambda epoch, lr=lr: lr) if len(sizes) == 1 else mr.cosine(lr, k)
        history = mr.fit(
            model, mr.softmax_cross_entropy, lambda rng: batches.stream(train, STREAMS, STEPS),
            mr.Adam(), k, schedule=rate, stateful=True, max_norm=1.0, rng=rng, progress=progress,
            validation=lambda rng: batches.stream(test, 1, 1000),
        )  # fmt: skip
        curves[name] = np.array(history.val_loss) / math.log(2)
        seconds = time.perf_counter() - started
        result[name] = {"test": float(curves[name][-1]), "seconds": seconds}
    return model, curves, result


def make(V, sizes, dropout, rng):
    """Embedding, LSTMs with dropout between them, linear."""
    o = {"rng": rng, "dtype": np.float32}
    layers = [mr.Embedding(V, sizes[0], **o)]
    for D, H in zip((sizes[0], *sizes), sizes, strict=False):
        layers += [mr.LSTM(D, H, **o), *([mr.Dropout(dropout)] if dropout else [])]
    return mr.Sequential(*layers, mr.Linear(sizes[-1], V, **o))


def witten_bell(train, test, V, order):
    """Bits per character of an n-gram model, in the streaming sense: test follows train.

    p(w | context) = (count(context w) + kinds(context) p(w | shorter)) / (count(context) + kinds),
    where kinds is the number of different characters that followed the context.
    """
    counts: list[dict[tuple, Counter]] = [defaultdict(Counter) for _ in range(order)]
    seen, text = train.tolist(), [*train[-order:].tolist(), *test.tolist()]
    for n, table in enumerate(counts):
        for k in range(n, len(seen)):
            table[tuple(seen[k - n : k])][seen[k]] += 1
    bits = 0.0
    for k in range(order, len(text)):
        p = 1 / V
        for n in range(order):
            followed = counts[n].get(tuple(text[k - n : k]))
            if followed is None:
                break
            total, kinds = sum(followed.values()), len(followed)
            p = (followed[text[k]] + kinds * p) / (total + kinds)
        bits -= math.log2(p)
    return bits / len(test)


def write(model, alphabet, seed):
    """What the model writes after a line's end, at three temperatures."""
    parts = []
    if texts.UNKNOWN in alphabet:  # which it may read, but not write
        model.params[list(model.params)[-1]][alphabet.index(texts.UNKNOWN)] = -np.inf
    start = alphabet.index("\n") if "\n" in alphabet else 0
    for temperature in (0.5, 0.8, 1.1):
        tokens = mr.sample(model, [start], temperature, rng=seed)
        text = "".join(alphabet[next(tokens)[0]] for _ in range(300))
        parts.append(f"--- temperature {temperature}\n{text}\n")
    return "\n".join(parts)


def draw(out, model, alphabet, seed, curves, result):
    from minirnn import plot

    samples = write(model, alphabet, seed)
    npz.write(out / "samples.txt", samples.encode())
    print(samples)
    own = texts.UNKNOWN in alphabet
    when, part = ("part of the training", "validation") if own else ("epoch", "test")
    ax = plot.curves(curves, when, f"bits per character of the {part} part", log=False)
    for name in ("bigram", "trigram", "5-gram"):
        ax.axhline(result[name]["test"], color="grey", lw=0.8)
        ax.annotate(name, (1, result[name]["test"]), va="bottom", fontsize=8)
    plot.save(ax, out / "char-lm.png")
