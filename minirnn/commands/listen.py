"""``minirnn listen FILE.wav``: the digits in a recording of your own, and when they were said.

The network is the one that ``minirnn speech`` trains and saves. It knows the ten English digits
("zero" to "nine") and nothing else, so it takes every other word for some of them. Any number of
samples a second from 8000 on will do; they are brought to 8000, which is what the network knows.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.commands.common import positive, try_folder
from minirnn.datasets import cepstra, speech
from minirnn.protocol import Array

MODEL = Path("out/speech/speech.npz")
LONGEST = 120  # seconds; the networks have heard some, and a picture shows no more


def add(sub: Any) -> None:
    own = sub.add_parser(
        "listen",
        help="write down the spoken digits of a WAV file",
        description=__doc__,
        epilog="example: minirnn listen my-number.wav --out my-number",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own.add_argument("file", metavar="FILE.wav", help="the recording: PCM, any rate from 8000 on")
    own.add_argument(
        "--model", type=Path, default=MODEL, metavar="FILE",
        help="what 'minirnn speech' has saved (default: %(default)s)",
    )  # fmt: skip
    own.add_argument(
        "--beam", type=positive, default=8, metavar="N",
        help="how many beginnings are kept in the search; 1: the best path (default: %(default)s)",
    )  # fmt: skip
    own.add_argument(
        "--out", type=Path, default=Path("out/listen"), metavar="DIR",
        help="folder for the picture, made if there is none (default: %(default)s)",
    )  # fmt: skip
    own.set_defaults(command=listen)


def listen(arguments: argparse.Namespace) -> int:
    from minirnn import plot
    from minirnn.experiments.speech import picture

    model, stack = network(arguments.model)
    samples, rate = recording(arguments.file)
    try_folder(arguments.out, "--out")
    x = cepstra.stacked(cepstra.features(samples, speech.RATE), stack).astype(np.float32)
    with mr.no_cache():
        logits, _, _ = model.forward(x[:, None])
    step = 0.01 * stack
    digits, times = heard(logits, arguments.beam, step)
    seconds = len(samples) / speech.RATE
    print(f"{arguments.file}: {seconds:.2f} s, {rate} samples a second")
    print("digits:", " ".join(map(str, digits)) or "none")
    for digit, time in zip(digits, times, strict=True):
        print(f"{time:8.2f} s  {digit}")
    file = arguments.out / f"{Path(arguments.file).stem}.png"
    plot.save(picture(samples, logits[:, 0], step), file)
    print(f"files written:\n  {file}")
    return 0


def network(path: Path) -> tuple[Any, int]:
    """The model, and how many steps of 10 ms it hears as one."""
    if not path.exists():
        raise FileNotFoundError(
            f"--model: there is no {path}; 'minirnn speech' trains a network and saves it there"
        )
    about = mr.about(path)
    stack = about.get("stack")
    known = about.get("experiment") == "speech" and about.get("rate") == speech.RATE
    if not known or not isinstance(stack, int) or not 1 <= stack <= 10:
        raise ValueError(f"--model: expected what 'minirnn speech' has saved, got {path}: {about}")
    return mr.load(path), stack


def recording(path: str) -> tuple[Array, int]:
    """Samples at the rate of the network, and the rate of the file."""
    samples, rate = speech.read_wav(path)
    if rate < speech.RATE:
        raise ValueError(f"{path}: expected at least {speech.RATE} samples a second, got {rate}")
    if len(samples) > LONGEST * rate:
        got = f"{len(samples) / rate:.0f}"
        raise ValueError(f"{path}: expected at most {LONGEST} seconds, got {got}")
    if samples.max() == samples.min():
        raise ValueError(f"{path}: expected a recording, got silence: all samples are alike")
    return speech.resampled(samples, rate, speech.RATE), rate


def heard(logits: Array, beam: int, step: float) -> tuple[list[int], list[float]]:
    """The digits in logits (T, 1, 11), and the seconds at which the network is surest of each."""
    labels = mr.ctc_decode(logits, beam=beam).tokens
    path = mr.ctc_align(logits, labels)[:, 0]
    p = logits[:, 0].astype(np.float64)
    p = np.exp(p - p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    # The runs of one label in the path are the labels, in their order.
    begins = np.flatnonzero(np.append(True, path[1:] != path[:-1]))
    runs = [(a, b) for a, b in zip(begins, [*begins[1:], len(path)], strict=True) if path[a] > 0]
    surest = [a + int(np.argmax(p[a:b, path[a]])) for a, b in runs]
    return [int(path[a]) - 1 for a, _ in runs], [(t + 0.5) * step for t in surest]
