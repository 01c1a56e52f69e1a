"""Let a language model of characters write: ``minirnn char-lm --text FILE...`` has made it.

The model reads the prompt and goes on from its end, a character at a time, each drawn with the
probability that the model gives it. A low temperature keeps to the likeliest (0 always takes it), a
high one is more daring. The same seed writes the same.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.commands.common import positive, real_number, whole_number
from minirnn.datasets import texts

KIND = "char-lm"  # what the model's file says of itself; ``experiments/own_text.py`` writes it


def add(sub: Any) -> None:
    own = sub.add_parser(
        "write",
        help="let a model that 'char-lm --text' has saved write",
        description=__doc__,
        epilog='example: minirnn write out/char-lm/char-lm.npz --prompt "Once" --length 300',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own.add_argument("model", type=Path, metavar="MODEL", help="the file of the model")
    own.add_argument(
        "--prompt",
        default="\n",
        metavar="TEXT",
        help="what to go on from; - is standard input (default: the beginning of a line)",
    )
    own.add_argument(
        "--length",
        type=positive,
        default=500,
        metavar="N",
        help="how many characters to write (default: %(default)s)",
    )
    own.add_argument(
        "--temperature",
        type=temperature,
        default=0.8,
        metavar="T",
        help="how daring, from 0 (default: %(default)s)",
    )
    own.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="of all that is random (default: %(default)s)",
    )
    own.set_defaults(command=write)


def temperature(text: str) -> float:
    return real_number(text, "a number of at least 0", lambda n: 0 <= n < 1e6)


def write(arguments: argparse.Namespace) -> int:
    """Print the prompt and what the model adds to it, each character as soon as it is there."""
    about = mr.about(arguments.model)
    if about.get("kind") != KIND:
        raise ValueError(
            "MODEL: expected a model that 'minirnn char-lm --text' has written, got "
            f"{arguments.model}"
        )
    model: Any = mr.load(arguments.model)
    prompt = arguments.prompt
    if prompt == "-":
        prompt = texts.of_a_user("-")
    if not prompt:
        raise ValueError("--prompt: expected at least one character, got none")
    alphabet = about["alphabet"]
    prompt, tokens = known(prompt.replace("\r\n", "\n"), alphabet)
    never_write(model, alphabet)
    show(prompt.removeprefix("\n"))
    drawn = mr.sample(model, tokens, arguments.temperature, rng=arguments.seed)
    for token, _ in itertools.islice(drawn, arguments.length):
        show(alphabet[token])
    show("\n")
    return 0


def known(prompt: str, alphabet: list[str]) -> tuple[str, Any]:
    """The prompt as the model reads it, and its tokens; what it does not know is told."""
    new = sorted(set(prompt) - set(alphabet))
    some = ", ".join(map(repr, new[:10]))
    if new and texts.UNKNOWN not in alphabet:
        raise ValueError(
            f"--prompt: the model has never seen {some}; expected characters of its alphabet, "
            f"{''.join(alphabet)!r:.200}"
        )
    if new:
        print(
            f"minirnn: the model has not seen {some}, or once; it reads <unk> instead",
            file=sys.stderr,
        )
    return prompt, texts.characters(prompt, alphabet)[0]


def never_write(model: Any, alphabet: list[str]) -> None:
    """Give ``<unk>``, which stands for no character, the probability 0."""
    if texts.UNKNOWN in alphabet:
        model.layers[-1].params["b"][alphabet.index(texts.UNKNOWN)] = -np.inf


def show(text: str) -> None:
    """Print at once; what the terminal's encoding does not have becomes a question mark."""
    code = sys.stdout.encoding or "utf-8"
    print(text.encode(code, "replace").decode(code), end="", flush=True)
