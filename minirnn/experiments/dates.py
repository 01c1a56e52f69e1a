"""Dates as people write them, to dates as machines want them: "3 May 1979" to 1979-05-03.

Thirteen ways to write a date, drawn at random. A bidirectional GRU reads the letters, a GRU with
attention writes the ten characters. A date is right if all ten are. To compare with: one and the
same date for all, and a rule of a few lines that knows three of the ways.
"""

import datetime
import re

import numpy as np

import minirnn as mr
from minirnn.datasets.batches import pad
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="dates in many spellings to 1979-05-03, by attention",
    unit="dates right, %",
    seconds=120,
    reference="99",
)
START, END, H, BATCHES = 0, 1, 64, 100
WAYS = (
    "%-d %B %Y", "%-d %b %Y", "%B %-d, %Y", "%b %-d, %Y", "%A, %B %-d, %Y", "%a %-d %b %Y",
    "%d/%m/%Y", "%d.%m.%Y", "%-d.%-m.%y", "%Y/%m/%d", "%d-%b-%y", "the %-d of %B %Y", "%B %-d %Y",
)  # fmt: skip
ALPHABET = "\0\1 " + "".join(chr(c) for c in range(ord("!"), ord("~") + 1))


def write(day: datetime.date, way: str) -> str:
    """The date in one of the ways; ``%-d`` is the day without a zero."""
    way = way.replace("%-d", str(day.day)).replace("%-m", str(day.month))
    return day.strftime(way).lower()


def draw_dates(rng, N):
    """Spellings and the dates that they mean."""
    first = datetime.date(1970, 1, 1)
    days = [first + datetime.timedelta(int(d)) for d in rng.integers(0, 365 * 55, N)]
    ways = rng.integers(0, len(WAYS), N)
    texts = [write(day, WAYS[w]) for day, w in zip(days, ways, strict=True)]
    return texts, [day.isoformat() for day in days]


def tokens(texts, end=False):
    """Texts as tokens (T, B) and lengths, padded with the end token."""
    codes = [[ALPHABET.index(c) for c in text] + [END] * end for text in texts]
    return pad(codes, END)


def run(settings: Settings) -> Result:
    """Train, draw ``dates.png`` into ``out``; returns the share of dates and of characters."""
    seed, _, epochs, quick, progress = settings
    epochs, rng = epochs or (1 if quick else 40), np.random.default_rng(seed)
    spelled, dates = draw_dates(np.random.default_rng([seed, 1]), 1000)
    V, o = len(ALPHABET), {"rng": rng, "dtype": np.float32}
    encoder = mr.Sequential(
        mr.Embedding(V, 32, **o),
        mr.Bidirectional(mr.GRU(32, H // 2, **o), mr.GRU(32, H // 2, **o)),
    )
    model = mr.Seq2Seq(
        encoder, mr.Embedding(V, 32, **o), mr.GRU(32, H, **o), mr.Linear(2 * H, V, **o),
        mr.LuongAttention(H, H, **o), bridge=mr.Linear(H, H, **o),
    )  # fmt: skip

    def batches(rng):
        for _ in range(5 if quick else BATCHES):
            texts, answers = draw_dates(rng, 128)
            source, lengths = tokens(texts)
            target, _ = tokens(["\0" + answer for answer in answers], end=True)
            yield (source, target[:-1]), target[1:], (lengths, np.full(128, len(target) - 1))

    mr.fit(
        model, mr.softmax_cross_entropy, batches, mr.Adam(), epochs, max_norm=1.0, rng=rng,
        schedule=mr.cosine(0.005, epochs, warmup=min(1, epochs - 1)), progress=progress,
    )  # fmt: skip
    source, lengths = tokens(spelled)
    written = mr.decode(model, source, START, END, 11, lengths)
    answers = ["".join(ALPHABET[t] for t in column if t != END) for column in written.tokens.T]
    result = {
        "attention": score(answers, dates),
        "a rule for three ways": score([rule(text) for text in spelled], dates),
        "always the same date": score(["1999-09-09"] * len(dates), dates),
    }
    settings.draw(draw, model, [write(datetime.date(1979, 5, 3), WAYS[k]) for k in (0, 4, 8)])
    return result


def score(answers, dates):
    """Percentages of dates and of characters that are right."""
    characters = [
        sum(a == b for a, b in zip(answer, date, strict=False)) / 10
        for answer, date in zip(answers, dates, strict=True)
    ]
    right = [answer == date for answer, date in zip(answers, dates, strict=True)]
    return {"dates": 100 * float(np.mean(right)), "characters": 100 * float(np.mean(characters))}


def rule(text):
    """What one would write first, without a network: day, month and year in figures."""
    found = re.fullmatch(r"(\d\d)[/.](\d\d)[/.](\d{4})|(\d{4})/(\d\d)/(\d\d)", text)
    if found is None:
        return "1999-09-09"
    d, m, y, y2, m2, d2 = found.groups()
    return f"{y or y2}-{m or m2}-{d or d2}"


def draw(out, model, texts):
    """Where the decoder looks, for a few ways to write one date."""
    import matplotlib.pyplot as plt

    from minirnn import plot

    figure, axes = plt.subplots(1, len(texts), figsize=(5 * len(texts), 4), layout="constrained")
    for ax, text in zip(axes, texts, strict=True):
        written = mr.decode(model, tokens([text])[0], START, END, 11)
        letters = [ALPHABET[t] if t != END else "end" for t in written.tokens[:, 0]]
        plot.attention(np.asarray(written.weights)[:, 0], list(text), letters, ax=ax)
    plot.save(figure, out / "dates.png")
