"""A language model of characters, trained on a text with truncated back-propagation.

The text is cut into 32 streams, which continue from batch to batch with their state; the gradient
goes back 64 steps. The first 90 % are for training, the rest for testing. The figure is bits per
character: how many yes-or-no questions the model would have to ask, on average, to know the next
one. To compare with: counting what followed the last 0, 1, 2 and 4 characters (n-grams with n = 1,
2, 3, 5), smoothed by Witten & Bell (1991), where each order falls back on the one below it.
"""

import math
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, texts
from minirnn.experiments import Experiment, Result, Settings
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
        "text": {"type": Path, "metavar": "FILE", "help": "a text in UTF-8, instead of Shakespeare"}
    },
)
STREAMS, STEPS = 32, 64
# Name: units of each layer, epochs (of 490 batches for Shakespeare), learning rate, dropout.
MODELS = {
    "LSTM 128": ((128,), 2, 2e-3, 0.0),
    "2 x LSTM 512": ((512, 512), 7, 2e-3, 0.3),
}


def run(settings: Settings, text: Path | None = None) -> Result:
    """Train, write ``samples.txt`` and ``char-lm.png``; returns bits and seconds by model.

    text: any file in UTF-8, instead of Shakespeare.
    """
    seed, _, epochs, quick, progress = settings
    content = texts.shakespeare(progress) if text is None else texts.read(text)
    tokens, alphabet = texts.characters(content[:60000] if quick else content)
    split = int(0.9 * len(tokens))
    train, test = tokens[:split], tokens[split:]
    result, curves, V = {}, {}, len(alphabet)
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
    for order, ngrams in ((1, "unigram"), (2, "bigram"), (3, "trigram"), (5, "5-gram")):
        result[ngrams] = {"test": witten_bell(train, test, V, order)}
    settings.draw(draw, model, alphabet, seed, curves, result)
    return result


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
    ax = plot.curves(curves, "epoch", "bits per character of the test part", log=False)
    for name in ("bigram", "trigram", "5-gram"):
        ax.axhline(result[name]["test"], color="grey", lw=0.8)
        ax.annotate(name, (1, result[name]["test"]), va="bottom", fontsize=8)
    plot.save(ax, out / "char-lm.png")
