# %% [markdown]
# # 17. Speech: labels without a clock
#
# **The question.** Somebody says "four two seven". The recording is a row of some 15 000 numbers.
# The text has twelve letters. Nobody has written down when each letter was said. But a network
# gives an answer at *every* step, and every answer needs a target. How can it be trained?
#
# You need: the LSTM of [chapter 7](07_lstm.ipynb), two directions from
# [chapter 10](10_images.ipynb), softmax and cross-entropy from [chapter 11](11_language.ipynb),
# `lengths` from [chapter 13](13_attention.ipynb). You will write down what a path spells, one step
# of a recursion, and a gradient.

# %%
import itertools
import math
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, display

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets import batches, cepstra, files, speech
from minirnn.exercises.speech import alpha_beta, spelled

plot.style()
RATE = speech.RATE  # samples a second

# %% [markdown]
# ## Recordings
#
# The Free Spoken Digit Dataset (Jakobovski et al., CC BY-SA 4.0) has 3000 recordings of the ten
# English digits by six speakers. The first five of each digit and speaker are the test set. We do
# not ask *which digit* it is. We ask for its letters: "two" is `t w o`. Then one word has several
# labels, and they have an order.
#
# Where the recordings are not on this machine, the chapter makes sounds of its own: a chord of
# three tones for each letter. That is much easier than speech, and the figures are others.

# %%
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ALPHABET = "-" + "".join(sorted(set("".join(WORDS))))  # label 0 says nothing: see below
V = len(ALPHABET)


def made_up(rng):
    """As many sounds as there are recordings, by six "speakers", each a little higher."""
    chords = rng.uniform(300, 2500, (V, 3))  # tones in Hz
    for voice, digit, number in itertools.product(range(6), range(10), range(50)):
        pieces = []
        for letter, _ in itertools.groupby(WORDS[digit]):  # "ee" is one long sound, as in speech
            n = int(RATE * rng.uniform(0.05, 0.15))
            tones = chords[ALPHABET.index(letter)] * (1 + 0.02 * voice + 0.02 * rng.normal())
            waves = np.sin(2 * np.pi * np.outer(tones, np.arange(n)) / RATE)
            pieces.append(0.1 * waves.sum(axis=0) * np.hanning(n))
        samples = np.concatenate(pieces)
        samples += 0.005 * rng.normal(size=len(samples))
        yield speech.Recording(samples, digit, f"voice{voice}", number)


# %%
real = any(map(files.local, ("fsdd/recordings.tar.gz", "fsdd/v1.0.10.tar.gz")))
if real:
    recordings = speech.digits()
else:
    print("The recordings are not here (see MINIRNN_DATA): made-up sounds instead.")
    recordings = list(made_up(np.random.default_rng(0)))
training = [r for r in recordings if r.number >= speech.TEST]
testing = [r for r in recordings if r.number < speech.TEST]
seconds = sum(len(r.samples) for r in recordings) / RATE
print(f"{len(training)} + {len(testing)} recordings, {seconds / 60:.1f} minutes")
print(f"{V} labels: {ALPHABET}")
assert len(testing) == 300 and V == 16

# %% [markdown]
# ## From sound to cepstra
#
# A recording is the pressure of the air, here 8000 times a second. Listen to a "two":

# %%
two = next(r.samples for r in testing if r.digit == 2)
emphasised = cepstra.pre_emphasis(two)  # y[i] = x[i] - 0.97 x[i-1]
figure, axes = plt.subplots(1, 2, figsize=(8.6, 1.9), sharex=True)
seconds = np.arange(len(two)) / RATE
for ax, x, title in zip(axes, (two, emphasised), ("two", "high tones louder"), strict=True):
    ax.plot(seconds, x, linewidth=0.4, color="black")
    ax.set(title=title, xlabel="seconds")
axes[0].set_ylabel("pressure")
plt.show()
display(Audio(two, rate=RATE), Audio(emphasised, rate=RATE))


def high(x):
    """Which share of the energy of a sound is above 1000 Hz."""
    energy = abs(np.fft.rfft(x)) ** 2
    return energy[len(x) * 1000 // RATE :].sum() / energy.sum()


print(f"above 1000 Hz: {100 * high(two):.0f} % of the energy, then {100 * high(emphasised):.0f} %")
assert high(emphasised) > high(two) and (high(two) < 0.1 or not real)

# %% [markdown]
# **1. Pre-emphasis.** In this recording nearly all of the energy is in the low tones, and the high
# ones would be lost beside them. The difference of neighbouring samples, $y_i = x_i - 0.97\,
# x_{i-1}$, makes high tones louder and low ones softer. You can hear it.
#
# **2. Frames.** A word changes all the time. A piece of 25 milliseconds hardly changes. So the sound
# is cut into frames of 25 ms. Each is faded in and out by the **Hamming window**.
#
# **3. The power spectrum.** The Fourier transform says how much of each tone is in a frame. We keep
# the size, squared, and drop where in its swing each tone is.
#
# **Predict, then run:** what is the window good for? The test is a pure tone of 1010 Hz. Its
# spectrum should have one peak and nothing else.

# %%
N, step = RATE * 25 // 1000, RATE * 10 // 1000  # samples in a frame, and from one to the next
n_fft = cepstra.fft_size(N)
hertz = np.arange(n_fft // 2 + 1) * RATE / n_fft
tone = np.sin(2 * np.pi * 1010 * np.arange(N) / RATE)
bare, faded = (abs(np.fft.rfft(tone * w, n_fft)) ** 2 for w in (np.ones(N), np.hamming(N)))
frames = cepstra.frames(emphasised, N, step)  # (T, N)
loudest = frames[np.argmax(np.sum(frames**2, axis=1))]

figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.3))
axes[0].plot(1e3 * np.arange(N) / RATE, loudest, color="silver", label="a frame")
axes[0].plot(1e3 * np.arange(N) / RATE, loudest * np.hamming(N), label="times the window")
axes[0].set(xlabel="milliseconds")
axes[1].semilogy(hertz, bare, color="silver", label="bare")
axes[1].semilogy(hertz, faded, label="faded by the window")
axes[1].set(xlabel="Hz", title="a tone of 1010 Hz: power")
for ax in axes:
    ax.legend()
plt.show()
display(Audio(np.tile(loudest, 40), rate=RATE))
far = abs(hertz - 1010) > 200
print(f"power more than 200 Hz away: {bare[far].sum() / bare.sum():.4f} of all without the window,")
print(f"{'':<29}{faded[far].sum() / faded.sum():.4f} with it")
assert faded[far].sum() / faded.sum() < 0.1 * bare[far].sum() / bare.sum()

# %% [markdown]
# A frame that begins and ends suddenly seems to have all tones in it. The window removes nearly all
# of that. (The sound is the grey frame, forty times in a row: one second of 25 ms.)
#
# **4. Mel bands.** Two tones of 300 and 400 Hz sound far apart, 3300 and 3400 Hz nearly the same.
# The **mel** scale is made so that equal steps sound equal. 26 triangles, equally wide in mel, gather
# the energy of the 129 frequencies.
#
# (Listen: two low tones, a pause, two high ones.)
#
# **5. The logarithm**, since the ear hears ratios. **6. The cosine transform.** Neighbouring bands
# say nearly the same. So each frame's row of 26 is written as a sum of cosine waves, slow ones first,
# and the weights of the first 13 are kept. These are the *cepstral coefficients* (MFCC; Davis &
# Mermelstein 1980).

# %%
power = cepstra.power_spectrum(frames, n_fft)  # (T, 129)
filters = cepstra.mel_filters(26, n_fft, RATE)  # (129, 26)
bands = cepstra.logarithm(power @ filters)  # (T, 26)
c = cepstra.cosine_transform(bands, 13)  # (T, 13)
assert np.allclose(c, cepstra.mfcc(two, RATE, energy=False))  # the library's, all steps at once

figure, axes = plt.subplots(2, 2, figsize=(8.6, 4.4))
axes[0, 0].plot(hertz, filters, linewidth=0.8)
axes[0, 0].set(xlabel="Hz", title="26 mel filters")
pictures = (cepstra.logarithm(power), "log power", "Hz"), (bands, "log mel bands", "band"), (
    cepstra.normalised(c), "13 cepstra (each scaled)", "number")  # fmt: skip
for ax, (picture, title, ylabel) in zip(axes.ravel()[1:], pictures, strict=True):
    top = RATE / 2 if ylabel == "Hz" else picture.shape[1]
    low = np.percentile(picture, 5)
    ax.imshow(picture.T, origin="lower", aspect="auto", cmap="magma", vmin=low,
              extent=(0, len(c) * step / RATE, 0, top))  # fmt: skip
    ax.set(title=title, xlabel="seconds", ylabel=ylabel)
plt.show()
tones = [np.sin(2 * np.pi * f * np.arange(RATE // 4) / RATE) for f in (300, 400, 0, 3300, 3400)]
display(Audio(np.concatenate(tones), rate=RATE))


def neighbours(a):
    """The mean size of the correlation of neighbouring columns."""
    return np.mean(np.abs(np.diag(np.corrcoef(a.T), 1)))


wide = [np.diff(cepstra.mel([f, f + 100]))[0] for f in (300, 3300)]
print(f"from 300 to 400 Hz {wide[0]:.0f} mel, from 3300 to 3400 Hz {wide[1]:.0f} mel")
print(f"{RATE} numbers a second become {13 * RATE // step}")
print(f"correlation of neighbours: bands {neighbours(bands):.2f}, cepstra {neighbours(c):.2f}")
assert wide[0] > 3 * wide[1] and (neighbours(bands) > neighbours(c) + 0.2 or not real)

# %% [markdown]
# Top right: time across, frequency up, bright is loud. The other two have the same time axis.
#
# **Predict:** from 13 numbers each 10 ms, can one still *hear* the word? What will be lost? To find
# out, we go all the way back. The cosine waves give 26 bands, the bands a spectrum. The swing of
# each tone is lost, so we take noise, and give it this spectrum.


# %%
def whisper(c, rng):
    """Noise (n,) that is shaped by the cepstra (T, 13), frame by frame."""
    waves = cepstra.cosine_transform(np.eye(26), 13)  # (26, 13)
    energy = np.exp(c @ waves.T)  # (T, 26)
    power = (energy / filters.sum(axis=0)) @ filters.T  # (T, 129)
    power /= abs(1 - 0.97 * np.exp(-2j * np.pi * hertz / RATE)) ** 2  # undo the pre-emphasis
    noise = np.fft.rfft(rng.normal(size=(len(c), n_fft)))
    pieces = np.fft.irfft(noise * np.sqrt(power))[:, :N] * np.hanning(N)
    sound = np.zeros(len(c) * step + N)
    for t, piece in enumerate(pieces):
        sound[t * step : t * step + N] += piece
    return sound


def hum(x):
    """How well the loudest 50 ms repeat themselves within 2.5 to 12.5 ms, as a voice does."""
    n = RATE // 20
    k = np.argmax(np.convolve(x**2, np.ones(n), "valid"))
    piece, lags = x[k : k + n], range(RATE // 400, RATE // 80)
    return max(np.corrcoef(piece[lag:], piece[:-lag])[0, 1] for lag in lags)


heard = whisper(c, np.random.default_rng(0))
display(Audio(two, rate=RATE), Audio(heard, rate=RATE))
again = cepstra.mfcc(heard, RATE, energy=False)[: len(c)]
other = cepstra.mfcc(next(r.samples for r in testing if r.digit == 6), RATE, energy=False)
T = min(len(c), len(other))
same = np.corrcoef(c[:, 1:].ravel(), again[:, 1:].ravel())[0, 1]
control = np.corrcoef(c[:T, 1:].ravel(), other[:T, 1:].ravel())[0, 1]
wave = np.corrcoef(two, heard[: len(two)])[0, 1]
print(
    f"correlation of the sounds {wave:.2f}, of their cepstra {same:.2f} (with a six {control:.2f})"
)
print(f"hum: recording {hum(two):.2f}, whisper {hum(heard):.2f}")
assert abs(wave) < 0.2 and same > control
assert not real or (same > 0.7 and hum(two) > 0.7 > hum(heard) + 0.2)

# %% [markdown]
# A whisper, and still a "two": its cepstra are nearly those of the recording, and unlike those of a
# "six". The hum of the voice, and with it the melody, is gone. So is every single wave.
#
# Three things more, in [`features`](../minirnn/datasets/cepstra.py): the logarithm of the energy
# takes the place of the first coefficient; the *slope* of each coefficient stands beside it; each
# column gets mean 0 and variance 1. To halve the work we take a frame every 20 ms. So the network
# sees 26 numbers, 50 times a second.

# %%
HOP = 0.020  # seconds
x_two = cepstra.features(two, RATE, hop=HOP)
print("sound", two.shape, "features", x_two.shape)
assert x_two.shape[1] == 26
assert np.allclose(x_two.mean(axis=0), 0) and np.allclose(x_two.std(axis=0), 1)

# %% [markdown]
# ## One label a frame is not to be had
#
# Now the task. One to three recordings of a speaker are joined, with up to 0.2 s of soft noise
# between them. The target is the text without spaces.


# %%
class Utterance(NamedTuple):
    sound: np.ndarray
    x: np.ndarray  # (T, 26)
    digits: list
    begins: list  # the frame in which each word begins, and where the last one ends

    @property
    def text(self):
        return "".join(WORDS[d] for d in self.digits)


def utterances(some, rng, pauses=(0, 0.2)):
    """Each recording once, one to three of the same speaker joined; pauses: in seconds."""
    rest, found = [some[k] for k in rng.permutation(len(some))], []
    rest.sort(key=lambda r: r.speaker)
    while rest:
        n = rng.integers(1, 4)
        said = [r for r in rest[:n] if r.speaker == rest[0].speaker]
        del rest[: len(said)]
        gaps = [int(RATE * rng.uniform(*pauses)) for _ in said]
        gaps[0] = 0
        sound = speech.joined([r.samples for r in said], [*gaps, 0], 1e-3, rng)
        ends = np.cumsum([len(r.samples) + gap for r, gap in zip(said, gaps, strict=True)])
        x = cepstra.features(sound, RATE, hop=HOP).astype(np.float32)
        begins = [int(s / RATE / HOP) for s in (0, *ends)]
        found.append(Utterance(sound, x, [r.digit for r in said], begins))
    return found


def numbers(text):
    return [ALPHABET.index(a) for a in text]


def batch(some, texts=None):
    """x (T, B, 26), target (S, B) filled up with -1, lengths (B,)."""
    x, lengths = batches.pad([u.x for u in some])
    target, _ = batches.pad([numbers(text) for text in texts or [u.text for u in some]], -1)
    return x, target, lengths


draws = [utterances(training, np.random.default_rng(k)) for k in range(3)]  # the words three times
test = utterances(testing, np.random.default_rng(3))
example = next(u for u in test if len(u.digits) == 3 and "ee" in u.text)
print(
    f"{len(draws[0])} utterances for training, {len(test)} for testing, for example", example.text
)
display(Audio(example.sound, rate=RATE))
x, target, lengths = batch(test)
print("x", x.shape, "target", target.shape, "lengths", lengths[:5], "...")

# %% [markdown]
# **Try it yourself:** in the pictures of "two" above, where does the t end? Where does the w begin,
# and is there any frame that is only an o? Two people would hardly give the same answer.
#
# The cheap answer is **equal shares**: with 12 letters and 60 frames, each letter gets 5. How wrong
# is that? Nobody knows where the letters are. But we have joined the words ourselves, so we know
# where the *words* are.


# %%
def equal_shares(u):
    """A label for each frame (T,). Between two equal letters it needs a gap, label 0, as one piece
    more: else they could not be told from one long letter."""
    labels = []
    for k, letter in enumerate(u.text):
        if k and letter == u.text[k - 1]:
            labels.append(0)
        labels.append(ALPHABET.index(letter))
    return np.array(labels)[np.arange(len(u.x)) * len(labels) // len(u.x)]


def in_their_word(u, frames):
    """For each letter, in order: whether its frame is within its own word."""
    word = [k for k, d in enumerate(u.digits) for _ in WORDS[d]]
    return [u.begins[k] <= t < u.begins[k + 1] for k, t in zip(word, frames, strict=True)]


def middles(u):
    """The frame in the middle of each letter's equal share."""
    return [int((k + 0.5) * len(u.x) / len(u.text)) for k in range(len(u.text))]


several = [u for u in test if len(u.digits) > 1]
shared = np.mean([flag for u in several for flag in in_their_word(u, middles(u))])
print(f"letters that equal shares put into the right word: {100 * shared:.1f} %")
assert 0.6 < shared < 0.95

# %% [markdown]
# One letter in eight stands in the wrong *word*, and in the right word it may still be in the wrong
# place. We will train a network on these targets too, as a baseline.
#
# ## Paths
#
# Graves et al. (2006) turned the question round. They did not ask *which* label belongs to each
# frame. They asked which rows of labels, a **path**, would be *fine*. If the frames of "two" say
#
# `t t t w w o o o` or `t w w w w o o o` or `t t w o o o o o`
#
# then all of them spell "two": merge equal neighbours. But then "three" would become "thre". And
# what should a frame of silence say? So there is one more label, the **blank**, written `-`. It
# says nothing. The rule is: *first merge equal neighbours, then remove the blanks.*
#
# **Exercise 1.** `path` is an array $(T,)$ of labels, each a whole number. `blank` is the number of
# the blank. Return the list of the labels that the path spells.


# %% tags=["exercise"]
def collapse(path, blank):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def collapse(path, blank):
    return [k for t, k in enumerate(path) if k != blank and (t == 0 or k != path[t - 1])]


# %% tags=["check"]
exercises.check(collapse)
path = np.array(numbers("--tthhhr-ee--e-"))
print("your answer:", "".join(ALPHABET[k] for k in collapse(path, 0)))

# %% [markdown]
# This network should make *all paths together* probable that spell the target. With $y_{t,k}$ the
# softmax at frame $t$:
#
# $$p(\text{path}) = \prod_t y_{t,\text{path}_t} \qquad
# p(\text{target}) = \sum_{\text{paths that spell it}} p(\text{path}) \qquad
# L = -\log p(\text{target})$$
#
# **Predict, then run:** how many paths of 6 frames spell "two"? And of 17 frames, the length of our
# recording?

# %%
T, small = 6, "-two"
paths = [p for p in itertools.product(range(4), repeat=T) if spelled(p) == [1, 2, 3]]
print(*("".join(small[k] for k in p) for p in paths[::10]), sep="  ")
for n in range(3, 8):
    counted = sum(spelled(p) == [1, 2, 3] for p in itertools.product(range(4), repeat=n))
    assert counted == math.comb(n + 3, 6)  # S = 3 unlike labels: n + S over 2 S
print(f"{len(paths)} of {4**T} paths of {T} frames, {math.comb(17 + 3, 6)} of 17 frames")
print(f"twelve unlike letters in 60 frames: {math.comb(60 + 12, 24):.0e} paths")

# %% [markdown]
# And a check of the sum, path by path, with what a network of four labels might say:

# %%
z = np.random.default_rng(0).normal(size=(T, 4))  # logits
y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
p_two = sum(np.prod(y[np.arange(T), p]) for p in paths)
loss, dz = mr.ctc(z[:, None], [[1], [2], [3]])  # logits (T, B, V), target (S, B)
print(f"-log of the sum over {len(paths)} paths: {-np.log(p_two):.6f}, mr.ctc: {loss:.6f}")
assert np.isclose(-np.log(p_two), loss, rtol=1e-12) and len(paths) == 84

# %% [markdown]
# This is **connectionist temporal classification**, [`mr.ctc`](../minirnn/training/ctc.py). But it
# cannot have gone through $10^{19}$ paths.
#
# ## The lattice
#
# Put a blank before, between and after the labels: `- t - w - o -`. These are the **states**, $L = 2S
# + 1$ for $S$ labels. Every path walks through them from the top left to the bottom right, one step
# to the right at each frame:


# %%
def draw_lattice(ax, letters, T, walked):
    label = ["-", *"".join(f"{a}-" for a in letters)]
    number = np.array(["-twose".index(a) for a in label])
    alpha, beta = alpha_beta(np.full((T, 6), 1 / 6), number)  # explained below
    for s, t in itertools.product(range(len(label)), range(T)):
        alive = alpha[t, s] * beta[t, s] > 0
        ax.plot(t, s, "o", color="black" if alive else "#dddddd", markersize=5)
        for down in (0, 1, 2):
            end = s + down
            if t + 1 == T or end >= len(label) or (down == 2 and label[end] == label[s]):
                continue
            if alive and beta[t + 1, end] > 0:
                on = walked[t : t + 2] == [s, end]
                ax.plot([t, t + 1], [s, end], linewidth=2.5 if on else 0.5,
                        color="#D55E00" if on else "gray", zorder=0)  # fmt: skip
    ax.set(yticks=range(len(label)), yticklabels=label, xticks=range(T), xlabel="frame")
    ax.invert_yaxis()
    ax.set_title("".join(label[s] for s in walked) + f" spells {letters}")


figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.8))
draw_lattice(axes[0], "two", 6, [1, 1, 3, 4, 5, 6])
draw_lattice(axes[1], "see", 6, [1, 3, 3, 4, 5, 5])
plt.show()

# %% [markdown]
# Across: frames. Down: states. A path begins in one of the first two states, and ends in one of the
# last two. (From a grey dot it cannot get there, or back to the beginning.) At each frame it
#
# - *stays* in its state (a line to the right),
# - or goes on to the *next* state,
# - or *skips* one: from t it may go to w at once, since the blank between them is not needed. It may
#   not skip a letter, since that would not be said. And it may not skip the blank between the two
#   e's of "see" (right): without it they would merge.
#
# A skip leads from state $s-2$ to state $s$. One test is enough for all of this: the labels of the
# two states must be **unlike**. (Between two blanks there is a letter, and two blanks are alike.)
#
# Many paths run through the same dot, and from there on they have the same future. So count them
# together. **Alpha**, $\alpha_t(s)$, is the probability of all *beginnings* of paths that are in
# state $s$ at frame $t$, up to and including $y$ of that frame. At the first frame there are two:
# $\alpha_0(0) = y_{0,\text{label}_0}$ and $\alpha_0(1) = y_{0,\text{label}_1}$.
#
# **Exercise 2.** One step. `before` $(L,)$ is alpha at the frame before, `y` $(V,)$ the softmax at
# this frame, `label` $(L,)$ the label of each state as a number (blanks are 0). Return alpha at this
# frame, $(L,)$.


# %% tags=["exercise"]
def alpha_step(before, y, label):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def alpha_step(before, y, label):
    now = before.copy()  # stay
    now[1:] += before[:-1]  # the next state
    skip = label[2:] != label[:-2]
    now[2:] += skip * before[:-2]
    return y[label] * now


# %% tags=["check"]
exercises.check(alpha_step)
label = np.array([0, 1, 0, 2, 0, 3, 0])
now = np.zeros(7)
now[:2] = y[0, label[:2]]
for t in range(1, T):
    now = alpha_step(now, y[t], label)
print(f"your last two states {now[-2:].sum():.12f}, all {len(paths)} paths {p_two:.12f}")
assert np.isclose(now[-2:].sum(), p_two, rtol=1e-12)

# %% [markdown]
# So $p(\text{target})$ costs some $3 L$ sums and products a frame, however many paths there are.
#
# **Beta**, $\beta_t(s)$, is the same from the other end: the probability of all *ends*, after frame
# $t$, of paths that are in $s$ at frame $t$. A beginning and an end make a path. So
# $\alpha_t(s)\, \beta_t(s)$ is the probability of all paths through this dot, and the sum over the
# states must be the same at every frame: every path is somewhere.

# %%
label = np.array([0, 1, 0, 2, 0, 3, 0])
alpha, beta = alpha_beta(y, label)  # (T, L), (T, L): with plain loops
through = np.zeros((T, 7))  # the same from all 84 paths, one by one
for p in paths:
    for t in range(T):
        letters = len(spelled(p[: t + 1]))  # spelled so far; p[t] is the last of them or a blank
        through[t, 2 * letters - (p[t] != 0)] += np.prod(y[np.arange(T), p])
print("sums over the states:", np.round((alpha * beta).sum(axis=1), 6), f"p {p_two:.6f}")
assert np.allclose(alpha * beta, through, rtol=1e-12, atol=0)
assert np.allclose((alpha * beta).sum(axis=1), p_two, rtol=1e-12)

# %% [markdown]
# ## The gradient, in five lines
#
# Let $z$ be the logits, and $v_{t,k}$ the sum of $\alpha_t(s)\, \beta_t(s) / p$ over all states $s$
# with the label $k$. ($p$ is $p(\text{target})$.) These are the **expected visits**: the probability
# that a path is at label $k$ at frame $t$, if it is one of those that spell the target.
#
# 1. At any frame $t$: $p = \sum_s \alpha_t(s)\, \beta_t(s)$, and $y_{t,k}$ is one factor of each
#    $\alpha_t(s)$ whose state has the label $k$. It is in no other term.
# 2. So $\;\partial p / \partial y_{t,k} = \sum_{s:\,\text{label}_s = k} \alpha_t(s)\, \beta_t(s) /
#    y_{t,k}$, that is $\;\partial (-\log p) / \partial \log y_{t,k} = -v_{t,k}$.
# 3. The softmax: $\;\partial \log y_{t,k} / \partial z_{t,j} = [k = j] - y_{t,j}$.
# 4. The chain rule: $\;\partial L / \partial z_{t,j} = -\sum_k v_{t,k} ([k = j] - y_{t,j}) = -v_{t,j}
#    + y_{t,j} \sum_k v_{t,k}$.
# 5. The visits of a frame add up to 1. What is left is
#
# $$\frac{\partial L}{\partial z_{t,j}} = y_{t,j} - v_{t,j}$$
#
# **The softmax minus the expected visits.** In chapter 11 it was the softmax minus the target. The
# visits *are* a target here, but a soft one, and the network makes it itself: "if the text is
# right, then I must have been about here."
#
# **Exercise 3.** `y` $(T, V)$ the softmax, `alpha` and `beta` $(T, L)$, `label` $(L,)$. Return
# $\partial L / \partial z$, $(T, V)$. Several states have the same label: the blanks at least.


# %% tags=["exercise"]
def ctc_gradient(y, alpha, beta, label):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def ctc_gradient(y, alpha, beta, label):
    visits = alpha * beta
    visits = visits / visits.sum(axis=1, keepdims=True)
    dlogits = y.copy()
    for s, k in enumerate(label):
        dlogits[:, k] -= visits[:, s]
    return dlogits


# %% tags=["check"]
exercises.check(ctc_gradient)
mine = ctc_gradient(y, alpha, beta, label)
print("yours and that of mr.ctc differ by", f"{abs(mine - dz[:, 0]).max():.0e}")
assert np.allclose(mine, dz[:, 0], rtol=1e-10, atol=1e-14)

# %% [markdown]
# Is it right, too? You know how to find out: nudge each logit to both sides (chapter 3).

# %%
slopes, eps = np.zeros((T, 4)), 1e-6
for t, k in itertools.product(range(T), range(4)):
    nudge = np.zeros((T, 1, 4))
    nudge[t, 0, k] = eps
    up, down = (mr.ctc(z[:, None] + d, [[1], [2], [3]])[0] for d in (nudge, -nudge))
    slopes[t, k] = (up - down) / (2 * eps)
print("largest difference from the slopes:", f"{abs(slopes - dz[:, 0]).max():.0e}")
assert np.allclose(slopes, dz[:, 0], atol=1e-8)

# %% [markdown]
# (One warning: PyTorch's `ctc_loss` wants log-probabilities, and what it calls their gradient is this
# same difference. It is right for the logits only, that is, after the `log_softmax` in front of it.)
#
# ## Before training
#
# Alpha, beta and the visits for our recording of "two", with a network that has learned nothing yet:
# a bidirectional LSTM and a linear layer.


# %%
def make(seed, H=32):
    o = {"rng": np.random.default_rng(seed), "dtype": np.float32}
    both = mr.Bidirectional(mr.LSTM(26, H, **o), mr.LSTM(26, H, **o))
    return mr.Sequential(both, mr.Linear(2 * H, V, **o))


def says(model, x):
    """The probabilities (T, V) of the labels for features (T, 26)."""
    logits = model.forward(x[:, None])[0][:, 0].astype(np.float64)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


TWO = np.array(numbers("-t-w-o-"))


def draw_visits(model):
    y = says(model, x_two)
    alpha, beta = alpha_beta(y, TWO)
    visits = alpha * beta / alpha[-1, -2:].sum()
    with np.errstate(divide="ignore"):
        pictures = {"log10 alpha": np.log10(alpha), "log10 beta": np.log10(beta)}
    pictures["visits: alpha beta / p"] = visits
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.1))
    for ax, (name, picture) in zip(axes, pictures.items(), strict=True):
        low, high = (0, 1) if picture is visits else (picture.max() - 20, picture.max())
        image = ax.imshow(picture.T, cmap="gray_r", aspect="auto", vmin=low, vmax=high)
        ax.set(title=name, xlabel="frame", yticks=range(7), yticklabels="-t-w-o-")
        figure.colorbar(image, ax=ax)
    plt.show()
    return visits, alpha[-1, -2:].sum()


model = make(seed=0)
visits, p = draw_visits(model)
expected = visits.T @ np.arange(len(visits)) / visits.sum(axis=0)  # the mean frame of each state
blank = visits[:, ::2].sum(axis=1).mean()
print(f"p(two) {p:.0e}; blanks have {100 * blank:.0f} % of the visits")
print("mean frame of t, w, o:", np.round(expected[1::2], 1), "of", len(visits))
assert p < 1e-9 and np.all(visits.max(axis=0)[2:5] < 0.8)
assert 0.3 < blank > visits[:, 1::2].mean(axis=0).max()
longest = int(np.argmax(lengths))
logits = model.forward(x[:, longest : longest + 1])[0]
nats = mr.ctc(logits, target[:, longest : longest + 1])[0]
print(f"the longest test utterance, {lengths[longest]} frames: p(text) 1e-{nats / np.log(10):.0f}")
assert nats / np.log(10) > 45 > -np.log10(np.finfo(np.float32).smallest_subnormal)
shares = len(visits) * np.array([1, 3, 5]) / 6 - 0.5  # the middles of equal shares
assert np.all(abs(expected[1::2] - shares) < 2.5)

# %% [markdown]
# Across: frames. Down: the states. Alpha opens from the top left, beta from the bottom right, and the
# product is a broad band between. Who knows nothing expects each letter about where the equal shares
# would put it. (Such numbers are too small for a float32, so `mr.ctc` computes with their
# logarithms.) But nothing is *fixed*. If the network finds that one frame in the band looks a little
# more like a w than its neighbours, the visits move there, the target says so more clearly in the
# next round, and so on.
#
# And the blanks have a large part of the visits, more than any letter: they are in every text.
# **Predict:** what will the network say first?
#
# ## Spikes
#
# Ten epochs. After each we look at one test utterance, frame by frame.

# %%
EPOCHS = 10


def train(model, loss_fn, make_batch, watch=lambda: None):
    """Returns what ``watch`` has returned before the training and after each epoch."""
    optimizer, schedule, rng = mr.Adam(), mr.cosine(0.01, EPOCHS), np.random.default_rng(1)
    seen = [watch()]
    for epoch in range(EPOCHS):
        some = sorted(draws[epoch % 3], key=lambda u: len(u.x))  # similar lengths together
        order = rng.permutation(np.arange(0, len(some), 32))
        data = [make_batch(some[k : k + 32]) for k in order]
        optimizer.lr = schedule(epoch)
        mr.fit(model, loss_fn, data, optimizer, 1, max_norm=5.0, progress=False)
        seen.append(watch())
    return seen


def best_path(p):
    """The likeliest label of each frame, for probabilities (T, V)."""
    return "".join(ALPHABET[k] for k in p.argmax(axis=1))


def wrong(logits):
    """Letters wrong in the test utterances, in percent of all: those put in, left out, replaced."""
    return 100 * mr.label_error_rate(mr.ctc_decode(logits, lengths).tokens, target)


def look():
    return says(model, example.x), wrong(model.forward(x, lengths=lengths)[0])


seen = train(model, mr.ctc, batch, look)
for epoch, (said, percent) in enumerate(seen):
    print(f"{epoch:2} epochs: {percent:5.1f} % wrong, mean p(blank) {said[:, 0].mean():.2f}")
    print(f"    {best_path(said)}")

# %% [markdown]
# Each row of letters is the best path: the likeliest label of each frame.

# %% tags=["cover"]
shown = (0, 1, 2, 4, EPOCHS)
figure, axes = plt.subplots(len(shown), 1, figsize=(8.6, 5.2), sharex=True)
for ax, epoch in zip(axes, shown, strict=True):
    said = seen[epoch][0]
    ax.plot(said[:, 0], color="silver", linewidth=1)
    for k in range(1, V):
        color = f"C{k % 5}"
        ax.plot(said[:, k], color=color, linewidth=1.4)
        before, after = np.append(0, said[:-1, k]), np.append(said[1:, k], 0)
        for t in np.flatnonzero((said[:, k] > 0.3) & (said[:, k] >= before) & (said[:, k] > after)):
            ax.text(t, said[t, k], ALPHABET[k], ha="center", va="bottom", color=color)
    for t in example.begins:
        ax.axvline(t, color="black", linewidth=0.6, linestyle=":")
    ax.set(ylim=(0, 1.25), yticks=(0, 1), ylabel=f"{epoch}")
axes[-1].set_xlabel("frame")
figure.supylabel("probability after so many epochs")
plt.show()
first, last = seen[1][0], seen[-1][0]
print(f"{example.text}: p(blank) {first[:, 0].mean():.2f} after one epoch")
assert first[:, 0].mean() > 0.6 and seen[-1][1] < 15 and (seen[1][1] > 50 or not real)
assert seen[0][0].max() < 0.5 and last[:, 1:].max() > 0.9

# %% [markdown]
# Across: frames, 50 a second. Up: probabilities, before the training and after 1, 2, 4 and 10
# epochs. Grey is the blank, and each letter has a line. Dotted: where the recordings begin (nobody
# told the network). First comes the answer to the question above: after one epoch nearly everything
# is blank. It is the safest guess, as long as nothing else is known. Then **spikes** grow out of it,
# here and there, and get sharp. Between them, and in the silence, the network says nothing.
#
# Hardest are the two e's of "three". They count twice only if a blank wins between them. Look for it
# in the last row of letters: without a blank between them, it spells "thre". (The example is a test
# utterance. The wrong letters are counted in all of them.)
#
# The recording of "two" again, after training:

# %%
visits, p_after = draw_visits(model)
print(f"p(two) {p:.0e} before, {p_after:.2f} after the training")
assert p_after > 0.5 and np.max(visits, axis=1).mean() > 0.7

# %% [markdown]
# The band has become a path: at most frames one state has nearly all visits. (White in alpha and
# beta: no path leads there, or only one that is $10^{20}$ times less probable than the best.)
#
# ## Is that good?
#
# Four baselines. *Say nothing*: all letters are missing. *The best constant*: of all texts of one
# or two digits the one that costs least. *Cut at silence*: the sound is cut where it is soft; each
# piece is compared with all 2700 training recordings, all stretched to eight frames, and the word of
# the nearest is spelled. So one did it before; and this one knows the ten words, which our network
# must learn. *Equal shares*: the same network and the same epochs, with the equal shares as targets,
# and the cross-entropy of every frame.
#
# **Predict:** which is better, cut at silence or equal shares?


# %%
def pieces(x, quiet):
    """The frames (n, 26) between pauses of at least 80 ms. Column 0 is the loudness."""
    on = np.flatnonzero(x[:, 0] > x[:, 0].max() - quiet)
    runs = np.split(on, np.flatnonzero(np.diff(on) > 4) + 1)
    return [x[run[0] : run[-1] + 1] for run in runs if len(run) > 3]  # shorter ones are a click


def stretched(x, n=8):
    """n frames, evenly from the first to the last, in one row."""
    return x[np.linspace(0, len(x) - 1, n).round().astype(int)].ravel()


def words_by_cutting(some, quiet):
    """The words of the training recordings that are nearest to the pieces, a text for each."""
    known = np.array([stretched(max(pieces(x, quiet), key=len, default=x)) for x in alone])

    def nearest(x):
        return WORDS[training[np.argmin(np.sum((known - stretched(x)) ** 2, axis=1))].digit]

    return ["".join(map(nearest, pieces(u.x, quiet))) for u in some]


def letters_wrong(texts, some):
    """In percent of all letters; texts: what is written for each utterance."""
    tokens, right = (
        batches.pad([numbers(t) for t in each], -1)[0] for each in (texts, [u.text for u in some])
    )
    return 100 * mr.label_error_rate(tokens, right)


# %%
alone = [cepstra.features(r.samples, RATE, hop=HOP) for r in training]
some = draws[0][::10]  # the threshold is chosen on training utterances
right = {}
for quiet in np.arange(1, 4, 0.25):
    right[quiet] = np.mean([len(pieces(u.x, quiet)) == len(u.digits) for u in some])
quiet = max(right, key=right.get)
print(f"the number of pieces is right in {100 * right[quiet]:.0f} % of {len(some)} utterances")
one_or_two = [*WORDS, *map("".join, itertools.product(WORDS, WORDS))]
score = {
    "say nothing": letters_wrong([""] * len(test), test),
    "best constant": min(letters_wrong([text] * len(test), test) for text in one_or_two),
    "cut at silence, nearest word": letters_wrong(words_by_cutting(test, quiet), test),
}
assert score["say nothing"] == 100 > score["best constant"] > 60


# %%
def batch_shares(some):
    """x, a label for each frame (T, B), lengths."""
    return batch(some)[0], batches.pad([equal_shares(u) for u in some])[0], batch(some)[2]


framewise = make(seed=0)
train(framewise, mr.softmax_cross_entropy, batch_shares)
score["equal shares, cross-entropy"] = wrong(framewise.forward(x, lengths=lengths)[0])
score["CTC"] = seen[-1][1]
for name, percent in score.items():
    print(f"{name:<30} {percent:5.1f} % of the letters wrong")
said = says(framewise, example.x)
print(f"{example.text}: {best_path(said)}")
assert np.mean(said.argmax(axis=1) == 0) < np.mean(seen[-1][0].argmax(axis=1) == 0)
assert score["CTC"] < 0.5 * score["equal shares, cross-entropy"] < 30

# %% [markdown]
# Same network, same epochs, same utterances: only the targets differ. The last line is the best path
# of the network with the equal shares: long letters and few blanks, as it was told.
#
# Cutting at silence comes nearest. It is told what a word is, and these words were recorded one by
# one. (Try `make(seed=1)`: the figure of CTC moves by a few percent. So its distance to the
# equal shares is safe. That to the cutting is worth little without more seeds.)
#
# **Predict, then run:** the same test recordings, joined without any pause, and with pauses of 0.2 s.
# Does the cutting need the pauses? Does CTC?

# %%
for name, pauses in {"no pause": (0, 0), "0.2 s": (0.2, 0.2)}.items():
    these = utterances(testing, np.random.default_rng(3), pauses)
    x_these, _, n = batch(these)
    tokens = mr.ctc_decode(model.forward(x_these, lengths=n)[0], n).tokens
    by_ctc = ["".join(ALPHABET[k] for k in column if k > 0) for column in tokens.T]
    cut = letters_wrong(words_by_cutting(these, quiet), these)
    print(f"{name:<9} cut at silence {cut:5.1f} %, CTC {letters_wrong(by_ctc, these):5.1f} % wrong")
    assert cut < score["cut at silence, nearest word"] + 8 or not real
    assert letters_wrong(by_ctc, these) < score["CTC"] + 8
    assert cut > 30 or real or name != "no pause"

# %% [markdown]
# Neither needs them much. A word that was recorded alone begins and ends softly, so there is a soft
# place between two words in any case. In running speech there often is none, and these recordings
# cannot show what happens then. (The made-up sounds can: there each *letter* begins and ends softly.
# Without pauses the cutting finds no words, and CTC does not mind.)
#
# ## What a blank is for
#
# **Predict:** we take the blank away. Each frame must be a letter. What will happen to "three"? And
# to the silence?
#
# No new program is needed. A logit of $-10^4$ is a probability of 0, so no path through a blank is
# left. A double letter then cannot be spelled at all, so the targets get a single one ("thre"). The
# rest is as before.


# %%
def no_blank(logits):
    logits = logits.copy()
    logits[..., 0] = -1e4
    return logits


def ctc_without_blank(logits, target, mask=None):
    return mr.ctc(no_blank(logits), target, mask)


def batch_merged(some):
    return batch(some, ["".join(a for a, _ in itertools.groupby(u.text)) for u in some])


without = make(seed=0)
train(without, ctc_without_blank, batch_merged)
logits = no_blank(without.forward(x, lengths=lengths)[0])
tokens, merged = mr.ctc_decode(logits, lengths).tokens, batch_merged(test)[1]
score["no blank"] = wrong(logits)
score["no blank, doubles forgiven"] = 100 * mr.label_error_rate(tokens, merged)
doubles = 100 * mr.label_error_rate(merged, target)
print(f"{doubles:.1f} % of the letters are the second of a double: lost in any case")
for name in ("CTC", "no blank", "no blank, doubles forgiven"):
    print(f"{name:<30} {score[name]:5.1f} % of the letters wrong")
for name, each in (("CTC", model), ("no blank", without)):
    p = says(each, example.x) * (1 - (name == "no blank") * np.eye(V)[0])
    print(f"{name:<9} {best_path(p)}")
loud = (x[..., 0] > 0) & (np.arange(len(x))[:, None] < lengths)  # louder than on average
silent = np.mean(model.forward(x, lengths=lengths)[0].argmax(axis=-1)[loud] == 0)
print(f"CTC: blank at {100 * silent:.0f} % of the frames that are louder than the average")
assert silent > 0.1 or not real
assert 1 < doubles < 6 and score["no blank"] > score["CTC"] + 0.9 * doubles
assert score["no blank, doubles forgiven"] > 1.2 * score["CTC"] or not real

# %% [markdown]
# The lines are the best paths for the example. Without a blank a letter goes on until the next one
# begins, through silence and all. The doubles are lost, as they must be. But the figure in the last
# row is still above that of CTC, so they are not all. And the blank is not a sign for silence only:
# many loud frames have it too. With it a network can say "I have said it", and wait until it is sure
# of the next letter.
#
# ## Times
#
# Nobody told the network when. But we know where the words are. **Predict:** which share of the letters stands in the right
# word? (Equal shares: see above.) [`mr.ctc_align`](../minirnn/labelling.py) finds the most probable
# of all paths that spell the text.

# %%
aligned = mr.ctc_align(model.forward(x, lengths=lengths)[0], target, lengths)  # (T, B)
inside, width = [], []
for b, u in enumerate(test):
    path = aligned[: lengths[b], b]
    new = np.append(True, path[1:] != path[:-1])
    begins = np.flatnonzero(new & (path > 0))
    width.append(np.sum(path > 0) / len(begins))
    if len(u.digits) > 1:
        inside += in_their_word(u, begins)
share = np.mean([len(u.x) / len(u.text) for u in test])
print(f"in the right word: equal shares {100 * shared:.1f} %, CTC {100 * np.mean(inside):.1f} %")
print(f"a letter lasts {np.mean(width):.1f} frames, an equal share {share:.1f}")
assert np.mean(inside) > max(shared, 0.95) and np.mean(width) < 0.7 * share

# %% [markdown]
# Out of sounds, and texts without any times, came times.
#
# This is how far it goes: a letter is in its word. Within the word nothing says that the spike is
# where *you* would put it, and a network in two directions may wait, or be early.
#
# ## Read next
#
# - Graves, Fernandez, Gomez & Schmidhuber 2006, *Connectionist temporal classification: labelling
#   unsegmented sequence data with recurrent neural networks*.
# - Hannun 2017, *Sequence modeling with CTC* (Distill): the same in pictures, and the beam
#   search that adds up the paths with one beginning (here: `mr.ctc_decode` with `beam=10`).
# - Davis & Mermelstein 1980, *Comparison of parametric representations for monosyllabic word
#   recognition in continuously spoken sentences*: the cepstra.
#
# **A question without an answer here:** does this network hear letters, or ten words? Leave all
# recordings of "nine" out of the training. All of its letters are in the other words. Will the
# network spell it?
