"""Recordings of speech: the Free Spoken Digit Dataset, and WAV files of one's own."""

from __future__ import annotations

import io
import os
import re
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minirnn import checks
from minirnn.datasets.files import LARGEST, find, local, open_archive
from minirnn.protocol import Array, Numbers

RATE = 8000  # samples a second, of all recordings of digits
NAME = re.compile(r"(?:[^/]+/)?recordings/([0-9])_([a-z]+)_([0-9]{1,4})\.wav")
TEST = 5  # the first recordings of each digit by each speaker are the test set
# A program that writes into a pipe does not know the length when it writes the header, and writes
# about the largest number that there is.
UNKNOWN = 0x7FFF0000  # bytes, or more


class Recording(NamedTuple):
    """One digit, spoken by one speaker."""

    samples: Array  # (n,) float64 in [-1, 1), RATE a second
    digit: int
    speaker: str
    number: int  # which of this speaker's recordings of this digit; below ``TEST``: test set


def digits(progress: bool | None = None) -> list[Recording]:
    """The Free Spoken Digit Dataset (Jakobovski et al., CC BY-SA 4.0): 3000 recordings of the ten
    English digits by six speakers, 50 each.

    Raises ValueError for an archive that holds anything else in its folder ``recordings``.
    """
    return read_digits(local("fsdd/recordings.tar.gz") or find("fsdd/v1.0.10.tar.gz", progress))


def read_digits(path: Path) -> list[Recording]:
    """The recordings of an archive, which is read but not unpacked, sorted by speaker, digit and
    number."""
    found = []
    with open_archive(path) as archive:
        for member in archive:
            if not member.isfile() or "recordings" not in member.name.split("/"):
                continue
            name = f"{path}: {member.name}"
            form = NAME.fullmatch(member.name)
            if not form:
                raise ValueError(f"{name:.200}: expected recordings/DIGIT_SPEAKER_NUMBER.wav")
            file = archive.extractfile(member)
            samples, rate = decoded(b"" if file is None else file.read(), name)
            if rate != RATE:
                raise ValueError(f"{name}: expected {RATE} samples a second, got {rate}")
            found.append(Recording(samples, int(form[1]), form[2], int(form[3])))
    if not found:
        raise ValueError(f"{path}: expected recordings/DIGIT_SPEAKER_NUMBER.wav in it, found none")
    return sorted(found, key=lambda r: (r.speaker, r.digit, r.number))


# ---- WAV ----------------------------------------------------------------------------------------


def read_wav(path: str | os.PathLike[str]) -> tuple[Array, int]:
    """Samples (n,) float64 in [-1, 1) of a WAV file, and how many there are in a second.

    PCM of 8, 16, 24 or 32 bits; several channels are mixed down to their mean. Raises ValueError
    for any other file, for one that is cut off, and for one without samples, and OSError.
    """
    path = checks.path(path, "path")
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"{path}: expected at most {LARGEST} bytes, got more")
    return decoded(data, path)


def decoded(data: bytes, name: str) -> tuple[Array, int]:
    """``read_wav`` for the bytes of a file, which messages call ``name``."""
    try:
        with wave.open(io.BytesIO(_as_plain_pcm(data))) as file:
            channels, width, rate, n, *_ = file.getparams()
            content = file.readframes(n)
    except Exception as error:  # a damaged one may raise anything within ``wave``
        why = str(error) or "it is cut off"
        raise ValueError(f"{name}: expected a WAV file with PCM samples ({why})") from None
    size = channels * width
    if width not in (1, 2, 3, 4) or rate < 1:
        got = f"{8 * width} bits, {rate} a second"
        raise ValueError(f"{name}: expected samples of 8, 16, 24 or 32 bits, got {got}")
    if len(content) < n * size < UNKNOWN:
        got = f"{len(content) // size}: it is cut off"
        raise ValueError(f"{name}: expected {n} samples, as its header says, got {got}")
    samples = _whole_numbers(content[: len(content) // size * size], width)
    if not len(samples):
        raise ValueError(f"{name}: expected at least one sample, got none")
    return samples.reshape(-1, channels).mean(axis=1) / 2.0 ** (8 * width - 1), rate


def _as_plain_pcm(data: bytes) -> bytes:
    """A header in the "extensible" form, with PCM in it, in the plain form: before Python 3.12
    ``wave`` does not know the other."""
    extensible = data[12:16] == b"fmt " and data[20:22] == b"\xfe\xff" and data[44:46] == b"\1\0"
    return data[:20] + b"\1\0" + data[22:] if extensible else data


def _whole_numbers(content: bytes, width: int) -> Array:
    """Samples of ``width`` bytes, the lowest first. Those of one byte have no sign: 128 is 0."""
    if width == 1:
        return np.frombuffer(content, np.uint8).astype(np.int64) - 128
    if width != 3:
        return np.frombuffer(content, f"<i{width}").astype(np.int64)
    low, middle, high = np.frombuffer(content, np.uint8).reshape(-1, 3).astype(np.int64).T
    return low + (middle << 8) + ((high ^ 128) - 128 << 16)


# ---- Samples ------------------------------------------------------------------------------------


def resampled(samples: Numbers, rate: float, to: float) -> Array:
    """Samples (n,) of one rate as samples of another: m = n to / rate, rounded.

    By the spectrum: what the lower of the two rates cannot hold is left out, so that nothing is
    folded back. The ends are mirrored first, since to the Fourier transform the end of the samples
    is followed by their beginning.
    """
    x = checks.array(samples, "samples", ("n",), np.float64)
    rate = checks.number(rate, "rate", 0, low_included=False)
    to = checks.number(to, "to", 0, low_included=False)
    if rate == to:
        return x.copy()
    n, m = len(x), max(1, round(len(x) * to / rate))
    mirrored = np.append(x, x[::-1])
    spectrum = np.fft.rfft(mirrored)[: m + 1]
    return np.fft.irfft(spectrum, 2 * m)[:m] * (m / n)


def joined(parts: list[Array], gaps: list[int], noise: float, rng: np.random.Generator) -> Array:
    """Recordings one after another, with gaps[k] samples of noise before the k-th and gaps[-1]
    after the last; noise: its standard deviation."""
    pieces = [rng.normal(0, noise, gaps[0])]
    for part, gap in zip(parts, gaps[1:], strict=True):
        pieces += [part, rng.normal(0, noise, gap)]
    return np.concatenate(pieces)
