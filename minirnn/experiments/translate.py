"""Short English phrases to French, with attention, word by word.

The first 10000 phrases of the Tatoeba collection. A tenth of the English phrases is held out, with
*all* their translations, so that no English phrase is in both parts. A translation is exact if it
is one of the French phrases that the collection has for it; BLEU is sacrebleu's, against all of
them.
To compare with: the translation of the training phrase with the most words in common.

Put the first 10000 lines of fra.txt, from fra-eng.zip at https://www.manythings.org/anki, into
engfra/fra_first10000.txt in the folder MINIRNN_DATA.
"""

from collections import defaultdict

import numpy as np

import minirnn as mr
from minirnn.datasets import texts
from minirnn.datasets.batches import pad
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="short English phrases to French, with attention, greedy and by beam",
    unit="%",
    seconds=150,
    data="by hand",
    reference="the nearest training phrase",
)
START, END, UNKNOWN = 0, 1, 2
E, H = 64, 128


def run(settings: Settings) -> Result:
    """Train, draw ``translate.png`` into ``out``; returns exact matches and BLEU by model."""
    seed, _, epochs, quick, progress = settings
    epochs, rng = epochs or (1 if quick else 20), np.random.default_rng(seed)
    answers = defaultdict(list)
    for english, french in texts.phrases(progress):
        answers[english.lower()].append(texts.words_of(french))
    sources = sorted(answers)
    order = rng.permutation(len(sources))[: 600 if quick else None]
    held_out = [sources[k] for k in order[: len(order) // 10]]
    train = [(s, f) for k in order[len(order) // 10 :] for s in [sources[k]] for f in answers[s]]
    split = {s: texts.words_of(s) for s in sources}
    index = [vocabulary(split[s] for s, _ in train), vocabulary(f for _, f in train)]
    words = list(index[1])
    model = make(len(index[0]), len(index[1]), rng)
    pairs = [(encode(split[s], index[0]), encode(f, index[1])) for s, f in train]

    def batches(rng):
        # Phrases of similar length, so that there is little padding; a new order each time.
        order = rng.permutation(len(pairs))
        order = order[np.argsort([len(pairs[k][0]) for k in order], kind="stable")]
        groups = np.array_split(order, max(1, len(order) // 64))
        for g in rng.permutation(len(groups)):
            source, lengths = pad([pairs[k][0] for k in groups[g]], END)
            target, n = pad([[START, *pairs[k][1], END] for k in groups[g]], END)
            yield (source, target[:-1]), target[1:], (lengths, n - 1)

    mr.fit(
        model, mr.softmax_cross_entropy, batches, mr.Adam(), epochs, max_norm=1.0, rng=rng,
        schedule=mr.cosine(0.003, epochs), progress=progress,
    )  # fmt: skip
    source, lengths = pad([encode(split[s], index[0]) for s in held_out], END)
    result = {}
    references = [answers[s] for s in held_out]
    for name, beam in (("greedy", 1), ("beam of 5", 5)):
        written = mr.decode(model, source, START, END, 12, lengths, beam=beam)
        found = [[words[t] for t in column if t != END] for column in written.tokens.T]
        result[name] = score(found, references)
    nearest = [max(train, key=lambda p, s=s: overlap(split[p[0]], split[s]))[1] for s in held_out]
    result["nearest training phrase"] = score(nearest, references)
    settings.draw(draw, model, index, words, split, held_out)
    return result


def make(V_english, V_french, rng):
    """Encoder, decoder and attention."""
    o = {"rng": rng, "dtype": np.float32}
    both = mr.Bidirectional(mr.GRU(E, H // 2, **o), mr.GRU(E, H // 2, **o))
    return mr.Seq2Seq(
        mr.Sequential(mr.Embedding(V_english, E, **o), mr.Dropout(0.3), both),
        mr.Embedding(V_french, E, **o),
        mr.Sequential(mr.Dropout(0.3), mr.GRU(E, H, **o), mr.Dropout(0.3)),
        mr.Linear(2 * H, V_french, **o),
        mr.LuongAttention(H, H, **o),
        bridge=mr.Linear(H, H, **o),
    )


def vocabulary(sentences):
    """Tokens of all words, the most frequent first."""
    index = {"<s>": START, "<eos>": END, "<unk>": UNKNOWN}
    for word in list(texts.vocabulary(sentences, 10**6))[2:]:
        index[word] = len(index)
    return index


def encode(sentence, index):
    return [index.get(word, UNKNOWN) for word in sentence]


def overlap(a, b):
    """Words in common, as a share of all."""
    return len(set(a) & set(b)) / len(set(a) | set(b))


def score(found, references):
    """Percentage of exact matches, and BLEU where sacrebleu is installed."""
    exact = [f in r for f, r in zip(found, references, strict=True)]
    result = {"exact": 100 * float(np.mean(exact))}
    try:
        import sacrebleu
    except ImportError:
        return result
    most = max(len(r) for r in references)
    columns = [[" ".join(r[k]) if k < len(r) else None for r in references] for k in range(most)]
    bleu = sacrebleu.corpus_bleu([" ".join(f) for f in found], columns, tokenize="none", force=True)
    return result | {"BLEU": float(bleu.score)}


def draw(out, model, index, words, split, held_out):
    import matplotlib.pyplot as plt

    from minirnn import plot

    shown = sorted(held_out, key=lambda s: -len(split[s]))[:3]
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), layout="constrained")
    for ax, s in zip(axes, shown, strict=True):
        source = np.array(encode(split[s], index[0]))[:, None]
        written = mr.decode(model, source, START, END, 12)
        french = [words[t] for t in written.tokens[:, 0]]
        plot.attention(np.asarray(written.weights)[:, 0], split[s], french, ax=ax)
    plot.save(figure, out / "translate.png")
