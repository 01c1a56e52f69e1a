"""From sound to cepstra: mel-frequency cepstral coefficients, MFCC (Davis & Mermelstein 1980).

A recording has thousands of numbers a second, which look different each time the same word is
spoken. What the ear, and a network, needs is how the energy is spread over the frequencies, a
hundred times a second. Each step has a function here; ``mfcc`` calls them in turn::

    samples x (n,)                       8000 a second
    pre_emphasis       (n,)              x[i] - 0.97 x[i-1]: high tones, which are weak, made louder
    frames             (T, N)            N = 25 ms, one every 10 ms
    power_spectrum     (T, K)            of each frame times the Hamming window
    mel_filters        (K, M)            energy in M bands, which the ear tells apart equally well
    logarithm          (T, M)            loudness
    cosine_transform   (T, C)            the cepstrum: its first numbers are the broad shape of the
                                         spectrum (the mouth), the pitch of the voice is left out

Axes: T frames, N samples of a frame, K frequencies, M bands, C coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minirnn import checks
from minirnn.engine.threads import OneBlasThread
from minirnn.protocol import Array, Numbers

SMALLEST = float(np.finfo(np.float64).eps)  # an energy of 0 has no logarithm


def features(
    samples: Numbers, rate: float, tempo: float = 1.0, pitch: float = 1.0, **settings: Any
) -> Array:
    """What the networks of ``experiments`` hear: MFCC and their slopes, with mean 0 and variance 1
    in each recording, (T, 2 C).

    tempo, pitch: how the same words sound from another speaker, ``tempo`` times as fast, and with
    all frequencies ``pitch`` times as high (a smaller mouth). The frames of 25 ms are the same, but
    a step from one to the next is another, and the mel filters take the frequencies for others.
    settings: of ``mfcc``.
    """
    tempo = checks.number(tempo, "tempo", 0, low_included=False)
    pitch = checks.number(pitch, "pitch", 0, low_included=False)
    s = {"window": 0.025, "hop": 0.010} | settings
    s |= {"window": s["window"] / pitch, "hop": s["hop"] * tempo / pitch}
    c = mfcc(samples, checks.number(rate, "rate", 1) * pitch, **s)
    return normalised(np.hstack([c, deltas(c)]))


def mfcc(
    samples: Numbers,
    rate: float,
    coefficients: int = 13,
    window: float = 0.025,
    hop: float = 0.010,
    bands: int = 26,
    emphasis: float = 0.97,
    energy: bool = True,
) -> Array:
    """Mel-frequency cepstral coefficients (T, C) of samples (n,).

    rate: samples a second. window, hop: seconds, of a frame and from one to the next. bands: how
    many mel filters, up to half the rate. energy: whether the logarithm of the frame's energy takes
    the place of the first coefficient.

    Raises ValueError or TypeError for arguments that do not fit.
    """
    x = checks.array(samples, "samples", ("n",), np.float64)
    checks.one_wrong("finite numbers", "samples", x, ~np.isfinite(x))
    rate = checks.number(rate, "rate", 1)
    C, M = checks.size(coefficients, "coefficients"), checks.size(bands, "bands")
    if C > M:
        raise ValueError(f"coefficients: expected at most bands = {M}, got {C}")
    emphasis = checks.number(emphasis, "emphasis", 0, 1)
    N, step = _samples(window, "window", rate), _samples(hop, "hop", rate)
    power = power_spectrum(frames(pre_emphasis(x, emphasis), N, step), fft_size(N))
    with OneBlasThread():  # so that the bits do not depend on the number of threads
        c = cosine_transform(logarithm(power @ mel_filters(M, fft_size(N), rate)), C)
    if energy:
        c[:, 0] = logarithm(power.sum(axis=1))
    return c


def _samples(seconds: Any, name: str, rate: float) -> int:
    n = int(checks.number(seconds, name, 0, low_included=False) * rate + 0.5)
    if not 1 <= n < 2**24:
        raise ValueError(f"{name}: expected at least one sample, at most 2^24, got {n}")
    return n


def fft_size(N: int) -> int:
    """The power of two that is at least N."""
    return 1 << (N - 1).bit_length()


def pre_emphasis(x: Array, emphasis: float = 0.97) -> Array:
    """y[i] = x[i] - emphasis x[i-1], y[0] = x[0]."""
    y = x.copy()
    y[1:] -= emphasis * x[:-1]
    return y


def frames(x: Array, N: int, step: int) -> Array:
    """Overlapping frames (T, N), one every ``step`` samples. The last is filled up with zeros."""
    T = 1 + max(0, -(-(len(x) - N) // step))
    filled = np.append(x, np.zeros(max(0, (T - 1) * step + N - len(x))))
    return sliding_window_view(filled, N)[::step][:T]


def power_spectrum(frames: Array, n_fft: int) -> Array:
    """|DFT(frame times window)|^2 / n_fft at the K = n_fft / 2 + 1 frequencies up to half the rate.

    The Hamming window w[i] = 0.54 - 0.46 cos(2 pi i / (N - 1)) lets a frame begin and end softly: a
    sudden end would put energy at all frequencies.
    """
    spectrum = np.fft.rfft(frames * np.hamming(frames.shape[1]), n_fft)
    return (spectrum.real**2 + spectrum.imag**2) / n_fft


def mel(hertz: Any) -> Any:
    """The mel scale, on which tones that sound equally far apart are equally far apart."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def hertz(mel: Any) -> Any:
    """The inverse of ``mel``."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


def mel_filters(M: int, n_fft: int, rate: float) -> Array:
    """M triangles (K, M), equally wide in mel from 0 to half the rate.

    With the corners f[0] < ... < f[M+1] in Hz, the weight of a frequency in filter m rises from 0
    at f[m] to 1 at f[m+1], and falls to 0 at f[m+2].
    """
    corners = hertz(np.linspace(0, mel(rate / 2), M + 2))
    k = np.arange(n_fft // 2 + 1)[:, None] * rate / n_fft
    rise = (k - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - k) / (corners[2:] - corners[1:-1])
    return np.maximum(0, np.minimum(rise, fall))


def logarithm(energy: Array) -> Array:
    """The natural logarithm, of at least ``SMALLEST``."""
    return np.log(np.maximum(energy, SMALLEST))


def cosine_transform(a: Array, C: int) -> Array:
    """The first C coefficients (T, C) of the orthonormal DCT-II of each row (T, M)::

    c[k] = sqrt(2 / M) sum over m of a[m] cos(pi k (m + 1/2) / M),  c[0] divided by sqrt(2)
    """
    M = a.shape[1]
    basis = np.cos(np.pi * np.arange(C) * (np.arange(M)[:, None] + 0.5) / M) * np.sqrt(2 / M)
    basis[:, 0] /= np.sqrt(2)
    return a @ basis


def deltas(c: Array, width: int = 2) -> Array:
    """The slope of each coefficient (T, C): that of the line nearest to its values from t - width
    to t + width. Before the first and after the last frame stands a copy of it.

    d[t] = sum over n = 1..width of n (c[t+n] - c[t-n]), divided by 2 sum of n^2
    """
    T = len(c)
    padded = np.concatenate([c[:1]] * width + [c] + [c[-1:]] * width)
    d = np.zeros_like(c)
    for n in range(1, width + 1):
        d += n * (padded[width + n :][:T] - padded[width - n :][:T])
    return d / (2 * sum(n * n for n in range(1, width + 1)))


def normalised(c: Array) -> Array:
    """Each column (T, C) with mean 0 and variance 1, zeros where it is constant: without the
    loudness of a recording, and the tone of its microphone."""
    c = c - c.mean(axis=0)
    deviation = c.std(axis=0)
    return c / np.where(deviation > 1e-10, deviation, np.inf)


def stacked(x: Array, n: int) -> Array:
    """Rows (T, D) in groups of n as one row each, (T / n, n D): a network that hears them takes a
    n-th of the steps. The last group is filled up with copies of the last row."""
    T, D = x.shape
    filled = np.concatenate([x, np.repeat(x[-1:], -T % n, axis=0)])
    return filled.reshape(-1, n * D)
