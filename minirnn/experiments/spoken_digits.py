"""One spoken digit, recognised: by speakers that are known, and by one that never was heard before.

The Free Spoken Digit Dataset: 3000 recordings of "zero" to "nine" by six speakers. A network hears
mel-frequency cepstral coefficients and their slopes, 26 numbers every 10 ms: a GRU from left to
right and one from right to left, then attention over time. On the official split (the first five
recordings of each digit by each speaker are the test) every speaker is known, and it is nearly
solved. What one wants to know is how well the voice of a stranger is understood: so each speaker in
turn is left out of the training, and is the test.

Six speakers are few. Each recording is therefore also heard as if by others: faster or slower, with
a higher or lower voice, and in noise. ``--without`` leaves one of these things out, to see what it
brings. To compare with: dynamic time warping (dtw.py), and a linear layer on the mean frame.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, cepstra, speech
from minirnn.experiments import Experiment, Result, Settings
from minirnn.experiments.common import logistic_regression
from minirnn.experiments.dtw import nearest

PARTS = {
    "tempo": "others speak up to a quarter faster or slower",
    "pitch": "others have voices up to a quarter higher or lower",
    "noise": "others speak in noise, from 5 dB to 40 dB below them",
    "blur": "in training, each of the 26 numbers is wrong by about 0.3",
    "dropout": "0.4 of what the GRUs return is dropped",
    "normalised": "in each recording each number has the mean 0 and the variance 1",
}
EXPERIMENT = Experiment(
    title="one spoken digit, by known speakers and by a stranger",
    unit="right, %",
    seconds=370,
    reference="PyTorch, GRU(64), no other voices: official split 96.7, mean of strangers 70.0",
    data="16 MB",
    options={
        "without": {
            "choices": tuple(PARTS),
            "help": "leave out one of: "
            + "; ".join(f"{name}, {what}" for name, what in PARTS.items()),
        }
    },
)
H, BATCH, LR, EPOCHS = 64, 64, 4e-3, 16
COPIES = 6  # of each recording; the first is as it is, the others by other voices
BLUR = 0.3  # standard deviation
SPREAD = 0.22  # others have exp(-SPREAD) to exp(SPREAD) times the tempo and the pitch


def run(settings: Settings, without: str = "") -> Result:
    """Train on each split, draw ``spoken-digits.png`` into ``out``; returns the accuracy by model
    and split."""
    recordings = speech.digits(settings.progress)
    if settings.quick:
        recordings = [r for r in recordings if r.number % 15 == 0 and r.speaker < "l"]
    rng = np.random.default_rng(settings.seed)
    heard = [voices(r.samples, rng, without) for r in recordings]
    means = np.array([cepstra.mfcc(r.samples, speech.RATE).mean(axis=0) for r in recordings])
    result: Result = {name: {} for name in ("GRU", "dynamic time warping", "linear, mean frame")}
    answers = {}
    for split, (train, test) in splits(recordings).items():
        model = trained(heard, recordings, train, settings, without)
        answers[split] = recognised(model, [heard[k][0] for k in test])
        right = answers[split] == digits_of(recordings, test)
        result["GRU"][split] = 100 * float(np.mean(right))
        result["dynamic time warping"][split] = warping(heard, recordings, train, test)
        result["linear, mean frame"][split] = mean_frame(means, recordings, train, test, rng)
    for own in result.values():
        strangers = [own[split] for split in own if split != "official"]
        own["mean of strangers"] = float(np.mean(strangers))
    settings.draw(draw, recordings, answers)
    return result


def splits(recordings):
    """The numbers of the recordings for training and test, by split."""
    official = np.array([r.number < speech.TEST for r in recordings])
    speakers = np.array([r.speaker for r in recordings])
    tests = {"official": official} | {s: speakers == s for s in sorted(set(speakers))}
    return {name: (np.flatnonzero(~test), np.flatnonzero(test)) for name, test in tests.items()}


def digits_of(recordings, numbers):
    return np.array([recordings[k].digit for k in numbers])


def voices(samples, rng, without=""):
    """Features of a recording: as it is, and as heard from others."""
    tempo, pitch = (0 if without == name else SPREAD for name in ("tempo", "pitch"))
    heard = [hear(samples, without=without)]
    for _ in range(COPIES - 1):
        decibels = np.inf if without == "noise" else rng.uniform(5, 40)
        noise = rng.normal(0, samples.std() * 10 ** (-decibels / 20), len(samples))
        factors = np.exp(rng.uniform(-1, 1, 2) * (tempo, pitch))
        heard.append(hear(samples + noise, *factors, without))
    return heard


def hear(samples, tempo=1.0, pitch=1.0, without=""):
    """Features (T, 26), float32."""
    if without == "normalised":
        c = cepstra.mfcc(samples, speech.RATE * pitch, window=0.025 / pitch,
                         hop=0.010 * tempo / pitch)  # fmt: skip
        return np.hstack([c, cepstra.deltas(c)]).astype(np.float32) / 10
    return cepstra.features(samples, speech.RATE, tempo, pitch).astype(np.float32)


def trained(heard, recordings, train, settings, without="", epochs=EPOCHS):
    """A model that has learned the recordings with the numbers ``train``; in each epoch it hears
    each of them from one voice."""
    epochs = settings.epochs or (2 if settings.quick else epochs)
    rng = np.random.default_rng(settings.seed)
    D, o = heard[0][0].shape[1], {"rng": rng, "dtype": np.float32}
    model = mr.Sequential(
        mr.Bidirectional(mr.GRU(D, H, **o), mr.GRU(D, H, **o)), mr.AttentionPool(2 * H, H, **o),
        mr.Dropout(0.0 if without == "dropout" else 0.4), mr.Linear(2 * H, 10, **o),
    )  # fmt: skip
    target = digits_of(recordings, train)

    def data(rng):
        x = [heard[k][rng.integers(len(heard[k]))] for k in train]
        if without != "blur":
            x = [own + rng.normal(0, BLUR, own.shape).astype(np.float32) for own in x]
        return batches.buckets(x, target, BATCH, rng, stepwise=False)

    mr.fit(
        model, mr.softmax_cross_entropy, data, mr.Adam(), epochs, schedule=mr.cosine(LR, epochs),
        max_norm=1.0, rng=rng, progress=settings.progress,
    )  # fmt: skip
    return model


def recognised(model, features):
    """The digit of each of the recordings, (N,)."""
    order = np.argsort([len(x) for x in features], kind="stable")
    found = np.zeros(len(features), np.int64)
    for k in range(0, len(order), 250):
        x, lengths = batches.pad([features[n] for n in order[k : k + 250]])
        with mr.no_cache():
            found[order[k : k + 250]] = model.forward(x, None, lengths)[0].argmax(axis=-1)
    return found


def warping(heard, recordings, train, test, every=2):
    """Accuracy of the nearest neighbour, by every second frame."""
    near = nearest(*([heard[k][0][::every] for k in part] for part in (train, test)))
    return 100 * float(np.mean(digits_of(recordings, train)[near] == digits_of(recordings, test)))


def mean_frame(means, recordings, train, test, rng):
    """Accuracy of a linear layer on the mean of all frames of each recording (N, 13)."""
    x = (means - means[train].mean(axis=0)) / means[train].std(axis=0)
    parts = [(x[None, part], digits_of(recordings, part)) for part in (train, test)]
    return logistic_regression(*parts, 10, 30, rng, 32, 0.01)["test"]


def draw(out, recordings, answers):
    """Which digit was taken for which."""
    import matplotlib.pyplot as plt

    from minirnn import plot

    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    parts = splits(recordings)
    strangers = [name for name in answers if name != "official"]
    for ax, names in zip(axes, (["official"], strangers), strict=True):
        said = np.concatenate([digits_of(recordings, parts[name][1]) for name in names])
        heard = np.concatenate([answers[name] for name in names])
        table = np.zeros((10, 10))
        np.add.at(table, (said, heard), 1)
        plot.confusion(table, ax=ax)
        ax.set(xlabel="recognised", ylabel="said")
    axes[0].set_title("Speakers that were in the training")
    axes[1].set_title("Each speaker by a network that never heard him")
    plot.save(figure, out / "spoken-digits.png")
