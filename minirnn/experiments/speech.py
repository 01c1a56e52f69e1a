"""Several digits in a row, recognised by a network that was never told which sound is which.

Three to seven recordings of one speaker are joined, with a little noise between them. The target is
the digits in their order, and nothing else: not where they begin, and not how long they are. Such
labels without a clock are what connectionist temporal classification (training/ctc.py) is for. The
network is a bidirectional LSTM, which hears mel-frequency cepstral coefficients and their slopes;
at each step it says one of the ten digits or nothing. It learns from new utterances in each epoch,
as if spoken faster or slower, with higher or lower voices. The utterances of the test are made
of recordings that are in no utterance of the training.

The figures are label errors: how many digits must be put in, left out or replaced to make what was
said of what was recognised, in % of what was said. Once more with a speaker left out of the
training, who is then the test. To compare with: the utterance is cut where it is silent, and each
piece is recognised as one digit (by the network of ``spoken-digits``).

The model is written to ``speech.npz``. ``minirnn listen FILE.wav`` uses it.
"""

from typing import NamedTuple

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, cepstra
from minirnn.datasets import speech as sounds
from minirnn.experiments import Experiment, Result, Settings, spoken_digits
from minirnn.labelling import padded

EXPERIMENT = Experiment(
    title="several spoken digits in a row, by CTC",
    unit="label errors, %",
    seconds=300,
    reference="PyTorch, known speakers, 2000 utterances, 12 epochs: 3.7 to 6.2",
    data="16 MB",
)
LENGTHS = (3, 7)  # digits in an utterance
GAP = (0.05, 0.3)  # seconds of noise before, between and after them
NOISE = (25, 45)  # decibels below the speech
H, BATCH, LR, EPOCHS = 64, 16, 4e-3, 16
UTTERANCES, TESTS = 1000, 300  # in an epoch, and in a test
SPREAD, BLUR = 0.2, 0.3  # other voices, and numbers that are wrong: see spoken_digits
STACK = 2  # steps of 10 ms that the network hears as one
BEAM = 8
STRANGER = "george"  # whose recordings PyTorch's reference of ``spoken-digits`` finds the hardest


class Utterance(NamedTuple):
    """Digits that were said one after another."""

    samples: np.ndarray  # (n,)
    digits: list[int]
    begins: list[int]  # the sample at which each begins


def run(settings: Settings) -> Result:
    """Train on all speakers, and without one; draw ``speech.png`` and write ``speech.npz`` into
    ``out``; returns the label errors by model and part."""
    recordings = sounds.digits(settings.progress)
    if settings.quick:
        recordings = [r for r in recordings if r.number in (0, 5) and r.speaker < "l"]
    result: Result = {"bidirectional LSTM, CTC": {}, "best path only": {}, "cut at silence": {}}
    for part, learn, test in (
        ("known speakers", [r for r in recordings if r.number >= sounds.TEST],
         [r for r in recordings if r.number < sounds.TEST]),
        (f"{STRANGER} a stranger", [r for r in recordings if r.speaker != STRANGER],
         [r for r in recordings if r.speaker == STRANGER]),
    ):  # fmt: skip
        rng = np.random.default_rng([settings.seed, 1])  # so that the test is always the same
        said = [utterance(test, rng) for _ in range(10 if settings.quick else TESTS)]
        model = trained(learn, settings)
        target = padded([u.digits for u in said])
        for name, beam in (("bidirectional LSTM, CTC", BEAM), ("best path only", 1)):
            found = recognised(model, [hear(u.samples) for u in said], beam)
            result[name][part] = 100 * mr.label_error_rate(padded(found), target)
        cut = padded(by_silence(learn, said, settings))
        result["cut at silence"][part] = 100 * mr.label_error_rate(cut, target)
        if part == "known speakers":
            settings.draw(keep, model)
            settings.draw(draw, model, said[0])
    return result


def utterance(recordings, rng):
    """Some digits of one speaker, joined."""
    speaker = recordings[rng.integers(len(recordings))].speaker
    own = [r for r in recordings if r.speaker == speaker]
    chosen = [own[k] for k in rng.integers(0, len(own), rng.integers(LENGTHS[0], LENGTHS[1] + 1))]
    parts = [r.samples for r in chosen]
    gaps = [round(sounds.RATE * g) for g in rng.uniform(*GAP, len(parts) + 1)]
    loudness = np.concatenate(parts).std()
    samples = sounds.joined(parts, gaps, loudness * 10 ** (-rng.uniform(*NOISE) / 20), rng)
    begins = np.cumsum(gaps[:-1]) + np.cumsum([0, *map(len, parts[:-1])])
    return Utterance(samples, [r.digit for r in chosen], begins.tolist())


def hear(samples, tempo=1.0, pitch=1.0):
    """Features (T, 26 STACK), float32."""
    x = cepstra.features(samples, sounds.RATE, tempo, pitch)
    return cepstra.stacked(x, STACK).astype(np.float32)


def trained(recordings, settings):
    """A model that has learned utterances made of the recordings, new ones in each epoch."""
    epochs = settings.epochs or (2 if settings.quick else EPOCHS)
    rng = np.random.default_rng(settings.seed)
    D, o = 26 * STACK, {"rng": rng, "dtype": np.float32}
    model = mr.Sequential(
        mr.Bidirectional(mr.LSTM(D, H, **o), mr.LSTM(D, H, **o)), mr.Dropout(0.3),
        mr.Linear(2 * H, 11, **o),
    )  # fmt: skip

    def data(rng):
        said = [utterance(recordings, rng) for _ in range(40 if settings.quick else UTTERANCES)]
        factors = np.exp(rng.uniform(-SPREAD, SPREAD, (len(said), 2)))
        x = [hear(u.samples, *own) for u, own in zip(said, factors, strict=True)]
        x = [own + rng.normal(0, BLUR, own.shape).astype(np.float32) for own in x]
        return in_batches(x, [u.digits for u in said], rng)

    mr.fit(
        model, mr.ctc, data, mr.Adam(), epochs, schedule=mr.cosine(LR, epochs), max_norm=1.0,
        rng=rng, progress=settings.progress,
    )  # fmt: skip
    return model


def in_batches(x, digits, rng):
    """Batches of utterances of similar length; the label of a digit is one more than the digit,
    since 0 is the blank."""
    order = np.argsort([len(own) for own in x], kind="stable")
    groups = [order[k : k + BATCH] for k in range(0, len(order), BATCH)]
    rng.shuffle(groups)
    for group in groups:
        inputs, lengths = batches.pad([x[k] for k in group])
        yield inputs, padded([[d + 1 for d in digits[k]] for k in group]), lengths


def recognised(model, features, beam=1):
    """The digits of each utterance."""
    found = []
    for k in range(0, len(features), 100):
        x, lengths = batches.pad(features[k : k + 100])
        with mr.no_cache():
            logits, _, _ = model.forward(x, None, lengths)
        labels = mr.ctc_decode(logits, lengths, beam)
        found += [labels.tokens[:n, b] - 1 for b, n in enumerate(labels.lengths)]
    return found


# ---- To compare with ----------------------------------------------------------------------------


def by_silence(recordings, said, settings):
    """The digits of each utterance, which is cut where it is silent. What counts as silence is
    chosen by how often it gives the right number of digits, on utterances of the training."""
    rng = np.random.default_rng(settings.seed)
    tried = [utterance(recordings, rng) for _ in range(20 if settings.quick else 200)]

    def wrong(choice):
        return sum(abs(len(pieces(u.samples, *choice)) - len(u.digits)) for u in tried)

    choices = [(decibels, gap) for decibels in (15, 20, 25, 30, 35) for gap in (2, 4, 6, 9, 12)]
    best = min(choices, key=wrong)
    heard = [[spoken_digits.hear(r.samples)] for r in recordings]
    model = spoken_digits.trained(heard, recordings, np.arange(len(heard)), settings, epochs=8)
    cut = [pieces(u.samples, *best) for u in said]
    each = [spoken_digits.hear(piece) for own in cut for piece in own]
    answers = iter(spoken_digits.recognised(model, each))
    return [[next(answers) for _ in own] for own in cut]


def pieces(samples, decibels, gap):
    """The parts of the samples between silences: more than ``gap`` steps of 10 ms that are this
    much less loud than the loudest. A part has at least 5 steps, and one step around it."""
    step = sounds.RATE // 100
    frames = cepstra.frames(samples, 2 * step, step)
    power = np.append(0, 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12))
    loud = np.flatnonzero(power[1:] > power[1:].max() - decibels)
    ends = np.flatnonzero(np.diff(loud) > gap)
    first, last = loud[np.append(0, ends + 1)], loud[np.append(ends, -1)]
    return [
        samples[max(0, a - 1) * step : (b + 3) * step]
        for a, b in zip(first, last, strict=True) if b - a >= 5
    ]  # fmt: skip


# ---- What is kept and drawn ---------------------------------------------------------------------


def keep(out, model):
    """Write the model, with what ``minirnn listen`` must know about its input and output."""
    about = {"experiment": "speech", "rate": sounds.RATE, "stack": STACK, "digits": list(range(10))}
    mr.save(model, out / "speech.npz", about)


def draw(out, model, said):
    """One utterance of the test."""
    from minirnn import plot

    x = hear(said.samples)
    logits = model.forward(x[:, None])[0][:, 0]
    figure = picture(said.samples, logits, STACK * 0.01)
    for ax in figure.axes:
        for digit, begin in zip(said.digits, said.begins, strict=True):
            ax.axvline(begin / sounds.RATE, color="0.5", linewidth=0.8, linestyle=":")
            ax.text(
                begin / sounds.RATE, 1.0, digit, transform=ax.get_xaxis_transform(), va="bottom"
            )
    plot.save(figure, out / "speech.png")


def picture(samples, logits, step):
    """The spectrogram of samples (n,), and over the same time the probability of each digit and of
    the blank, from logits (T, 11), one every ``step`` seconds."""
    import matplotlib.pyplot as plt

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(10, 5), sharex=True, layout="constrained", height_ratios=(1, 1)
    )
    seconds = len(samples) / sounds.RATE
    frames = cepstra.frames(cepstra.pre_emphasis(samples), 200, 40)
    power = 10 * np.log10(cepstra.power_spectrum(frames, 256) + 1e-10)
    top.imshow(
        power.T, origin="lower", aspect="auto", cmap="gray_r", vmin=power.max() - 70,
        extent=(0, seconds, 0, sounds.RATE / 2000),
    )  # fmt: skip
    top.set(ylabel="kHz")
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    t = (np.arange(len(p)) + 0.5) * step
    bottom.plot(t, p[:, 0], color="0.7", linewidth=1, label="blank")
    for digit in range(10):
        if p[:, digit + 1].max() > 0.1:
            bottom.plot(t, p[:, digit + 1], color=f"C{digit}", label=str(digit))
    bottom.set(ylabel="probability", xlabel="seconds", ylim=(0, 1.1), xlim=(0, seconds))
    bottom.legend(ncols=11, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return figure
