"""Write words backwards: what attention is for.

An encoder reads 1 to 10 letters of 26, a decoder writes them from the last to the first and ends.
Without attention the whole word has to pass through one state of 64 numbers. With attention the
decoder looks at the letters again. The picture of where it looks is a diagonal, from the last
letter to the first, which it has found by itself. A word counts as right only as a whole; 1000 new
words; greedy decoding.
"""

import numpy as np

import minirnn as mr
from minirnn import generate
from minirnn.datasets.synthetic import END, START, reverse
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="words written backwards by an encoder and a decoder, with and without attention",
    unit="words of 1000 right, %",
    seconds=40,
    reference="100 with attention",
)
LONGEST, LETTERS = 10, 26
V, E, H = LETTERS + 2, 32, 64  # tokens, embedding, hidden units
BATCHES = 100  # an epoch, of 128 words each


def run(settings: Settings) -> Result:
    """Train the three models, draw ``attention.png`` and ``reverse-losses.png`` into ``out``.

    Returns the share of words that are right as a whole, and of letters in their place, by model.
    """
    seed, _, epochs, quick, progress = settings
    epochs = epochs or (1 if quick else 10)
    source, lengths, target = reverse(np.random.default_rng([seed, 1]), 1000, LONGEST, LETTERS)
    result, histories, models = {}, {}, {}
    for name in ("no attention", "Luong attention", "Bahdanau attention"):
        rng = np.random.default_rng(seed)
        model = models[name] = make(name, rng)
        histories[name] = train(model, epochs, rng, progress)
        written = generate.decode(model, source, START, END, LONGEST + 1, lengths)
        result[name] = score(written.tokens, target[1:])
    result["the word as it is"] = score(np.vstack([source, np.full(1000, END)]), target[1:])
    chance = 100 * np.mean(1 / LETTERS ** lengths.astype(float))
    result["letters by chance"] = {"words": chance, "letters": 100 / LETTERS}
    settings.draw(draw, histories, models["Bahdanau attention"])
    return result


def make(name, rng):
    """Encoder and decoder with the kind of attention that the name begins with."""
    options = {"rng": rng, "dtype": np.float32}
    both = mr.Bidirectional(mr.GRU(E, H // 2, **options), mr.GRU(E, H // 2, **options))
    encoder = mr.Sequential(mr.Embedding(V, E, **options), both)
    attention, D, K = None, E, H  # sizes of the decoder's input, and of the output layer's
    if name.startswith("Luong"):
        attention, K = mr.LuongAttention(H, H, **options), 2 * H
    elif name.startswith("Bahdanau"):
        attention, D, K = mr.BahdanauAttention(H, H, H, **options), E + H, 2 * H
    return mr.Seq2Seq(
        encoder,
        mr.Embedding(V, E, **options),
        mr.GRU(D, H, **options),
        mr.Linear(K, V, **options),
        attention,
        bridge=mr.Linear(H, H, **options),
    )


def train(model, epochs, rng, progress):
    def batches(rng):
        for _ in range(BATCHES):
            source, lengths, target = reverse(rng, 128, LONGEST, LETTERS)
            # The decoder sees the target up to the step before, and writes one token more: the end.
            yield (source, target[:-1]), target[1:], (lengths, lengths + 1)

    rate = mr.cosine(0.005, epochs, warmup=min(1, epochs - 1))
    return mr.fit(
        model, mr.softmax_cross_entropy, batches, mr.Adam(), epochs,
        schedule=rate, max_norm=1.0, rng=rng, progress=progress,
    )  # fmt: skip


def score(tokens, target):
    """Percentages of words right as a whole, the end included, and of letters in their place."""
    written = np.full_like(target, END)
    written[: len(tokens)] = tokens
    letters = target != END
    return {
        "words": 100 * float(np.mean(np.all(written == target, axis=0))),
        "letters": 100 * float(np.mean((written == target)[letters])),
    }


def draw(out, histories, model):
    from minirnn import plot

    word = "attention"
    tokens = np.array([[2 + ord(letter) - ord("a")] for letter in word])
    written = generate.decode(model, tokens, START, END, LONGEST + 1)
    letters = ["end" if t == END else chr(t - 2 + ord("a")) for t in written.tokens[:, 0]]
    ax = plot.attention(np.asarray(written.weights)[:, 0], list(word), letters)
    ax.set_title("Where the decoder looks while it writes")
    plot.save(ax, out / "attention.png")
    ax = plot.losses({name: history.loss for name, history in histories.items()})
    ax.set_ylabel("cross-entropy, nats a letter")
    ax.set_title("Training: mean over 100 batches of 128 words")
    plot.save(ax, out / "reverse-losses.png")
