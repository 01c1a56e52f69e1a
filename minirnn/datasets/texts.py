"""Texts: characters, words, sentences with a label, phrases in two languages.

Archives are read without unpacking them to disk, and nothing is unpickled. Text files are decoded
as UTF-8; where that fails, the error names the file and the offset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from minirnn.datasets.files import find, open_archive
from minirnn.protocol import Array

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "<eos>"


def read(path: Path | str) -> str:
    """A text file in UTF-8. Raises ValueError with the offset of the first wrong byte."""
    data = Path(path).read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at offset {error.start} ({error.reason})") from None


def characters(text: str) -> tuple[Array, list[str]]:
    """A text as tokens (N,), and the character that each token stands for."""
    if not text:
        raise ValueError("text: expected at least one character, got none")
    alphabet = sorted(set(text))
    index = {c: k for k, c in enumerate(alphabet)}
    return np.array([index[c] for c in text]), alphabet


def shakespeare(progress: bool | None = None) -> str:
    """1.1 MB of Shakespeare (Karpathy 2015)."""
    return read(find("tinyshakespeare/input.txt", progress))


def penn_treebank(progress: bool | None = None) -> tuple[list[Array], list[str]]:
    """Training, validation and test words of the Penn Treebank as Mikolov has prepared it.

    Returns three arrays of tokens, 929589, 73760 and 82430 with the end of each line, and the
    10000 words.
    """
    texts = []
    for part in ("train", "valid", "test"):
        lines = read(find(f"ptb/ptb.{part}.txt", progress)).splitlines()
        texts.append([w for line in lines for w in (*line.split(), END)])
    vocabulary = sorted(set(texts[0]))
    index = {w: k for k, w in enumerate(vocabulary)}
    unknown = index.get(UNKNOWN, 0)
    return [np.array([index.get(w, unknown) for w in text]) for text in texts], vocabulary


def words(text: str) -> list[str]:
    """Lower-case words and the marks between them; ``<br />`` is left out."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?|[.,!?;:()]", text.replace("<br />", " ").lower())


def words_of(text: str) -> list[str]:
    """The same for any language: lower-case words with their accents, and the marks."""
    return re.findall(r"\w+(?:['\u2019]\w+)?|[^\w\s]", text.lower())


def vocabulary(texts: Iterable[Sequence[str]], size: int) -> dict[str, int]:
    """Tokens of the most frequent words; 0 is padding, 1 stands for all others."""
    counts = Counter(w for text in texts for w in text)
    # Sorted, so that ties do not depend on the order of the texts.
    frequent = sorted(counts, key=lambda w: (-counts[w], w))[: size - 2]
    return {PAD: 0, UNKNOWN: 1} | {w: k + 2 for k, w in enumerate(frequent)}


def encode(text: Sequence[str], index: dict[str, int]) -> Array:
    """Words as tokens."""
    return np.array([index.get(w, 1) for w in text], np.int64)


def imdb(progress: bool | None = None) -> tuple[tuple[list[str], Array], ...]:
    """Film reviews (Maas et al. 2011), 25000 for training, 25000 for testing; 1 is positive."""
    return read_imdb(find("imdb/aclImdb_v1.tar.gz", progress))


def read_imdb(path: Path) -> tuple[tuple[list[str], Array], ...]:
    """The labelled reviews from the archive, in the order of their names."""
    parts: dict[str, list[tuple[str, str, int]]] = {"train": [], "test": []}
    with open_archive(path) as archive:
        for member in archive:
            place = re.fullmatch(r"aclImdb/(train|test)/(pos|neg)/\d+_\d+\.txt", member.name)
            content = archive.extractfile(member) if place and member.isfile() else None
            if place and content is not None:
                try:
                    text = content.read().decode("utf-8")
                except UnicodeDecodeError as error:
                    where = f"{path}: {member.name}"
                    raise ValueError(f"{where}: not UTF-8 at offset {error.start}") from None
                parts[place[1]].append((member.name, text, int(place[2] == "pos")))
    for part, found in parts.items():
        if len({label for _, _, label in found}) < 2:
            raise ValueError(f"{path}: expected aclImdb/{part}/pos and neg in it, found none")
    both = []
    for found in parts.values():
        found.sort()
        both.append(([text for _, text, _ in found], np.array([label for _, _, label in found])))
    return tuple(both)


def polarity(progress: bool | None = None) -> tuple[list[str], Array]:
    """10662 sentences of film reviews (Pang & Lee 2005); label 1 is positive."""
    texts, labels = [], []
    for label, end in enumerate(("neg", "pos")):
        lines = read(find(f"rt-polarity/rt-polarity.{end}", progress)).splitlines()
        texts += lines
        labels += [label] * len(lines)
    return texts, np.array(labels)


def phrases(progress: bool | None = None) -> list[tuple[str, str]]:
    """Short English phrases and their French translations (tatoeba.org, manythings.org)."""
    path = find("engfra/fra_first10000.txt", progress)
    pairs = []
    for number, line in enumerate(read(path).splitlines(), 1):
        fields = line.split("\t")
        if len(fields) < 2 or not fields[0] or not fields[1]:
            raise ValueError(
                f"{path}: line {number}: expected English TAB French, got {line!r:.60}"
            )
        pairs.append((fields[0], fields[1]))
    return pairs
