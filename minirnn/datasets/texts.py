"""Texts: characters, words, sentences with a label, phrases in two languages.

Archives are read without unpacking them to disk, and nothing is unpickled. Text files are decoded
as UTF-8; where that fails, the error names the file and the offset. Lines end with a line feed:
other characters that end a line somewhere, U+0085 say, are part of it.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from minirnn import checks
from minirnn.datasets import files
from minirnn.datasets.files import find, open_archive
from minirnn.protocol import Array

IN_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "<eos>"
# What may stand at the beginning of a file, and the encoding that it is the mark of; the longer
# ones first, since that of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read(path: Path | str, other: str | None = None) -> str:
    """A text file in UTF-8; a mark of the byte order at its beginning is left out.

    other: the encoding of a file in which no character is in UTF-8. Raises ValueError with the
    offset of the first wrong byte.
    """
    with open(path, "rb") as file:
        data = files.content(file, f"{path}:")
    begin = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        return data[begin:].decode("utf-8")
    except UnicodeDecodeError as error:
        where, reason = begin + error.start, error.reason
    if other is not None and not IN_UTF8.search(data):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(other)
    raise ValueError(f"{path}: not UTF-8 at offset {where} ({reason})")


def of_a_user(path: Path | str, encoding: str | None = None) -> str:
    """Any text file, "-" for standard input: see ``decoded``. Raises OSError and ValueError."""
    if str(path) == "-":
        return decoded(sys.stdin.buffer.read(), "standard input", encoding)
    with open(path, "rb") as file:
        return decoded(files.content(file, f"{path}:"), str(path), encoding)


def decoded(data: bytes, name: str, encoding: str | None = None) -> str:
    """The text in a file's bytes: each line ends with a line feed, and there is no mark of the byte
    order.

    name: of the file, for messages. encoding: any that Python knows; without one UTF-8, or what the
    mark at the beginning says. Raises ValueError with the line of the first wrong byte, for an
    encoding that is none, and for one that can hardly be meant: another than the mark's; one of
    bytes for a file in which each character outside of ASCII is right in UTF-8.
    """
    marked = next((code for mark, code in MARKS if data.startswith(mark)), None)
    code = _known(encoding) if encoding is not None else marked or "utf-8"
    plain = code.replace("utf-8-sig", "utf-8").removesuffix("-le").removesuffix("-be")
    utf_8 = marked == "utf-8" or (not data.isascii() and _fails(data, "utf-8") is None)
    if (marked and plain != marked) or (utf_8 and not plain.startswith("utf")):
        raise ValueError(
            f"{name}: it is in {(marked or 'utf-8').upper()}, but the encoding that is given for "
            f"it is {encoding}; give none"
        )
    if code in ("utf-16", "utf-32") and not marked:
        raise ValueError(
            f"{name}: the mark of the byte order is missing; expected {code}-le or {code}-be as "
            f"its encoding, got {encoding}"
        )
    if error := _fails(data, code):
        before = data[: error.start].decode(code, "ignore")
        line, wrong = before.count("\n") + 1, data[error.start : error.start + 1].hex()
        raise ValueError(
            f"{name}: line {line}: not {code.upper()} (byte {wrong} at offset {error.start}); "
            "expected its encoding in --encoding, such as cp1252 (Windows, Western Europe), "
            "latin-1, shift_jis, gb18030"
        )
    text = data.decode(code).removeprefix("\ufeff")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(
            f"{name}: line {line}: a character of value 0, which no text has; expected a text, or "
            "its encoding in --encoding: utf-16-le or utf-16-be perhaps"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _known(encoding: str) -> str:
    """The usual name of an encoding of texts."""
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)  # a LookupError for what is no encoding of texts, such as base64
        return name
    except (LookupError, ValueError, TypeError):
        raise ValueError(
            "encoding: expected one that Python knows, such as utf-8, cp1252, latin-1 or utf-16, "
            f"got {encoding!r:.80}"
        ) from None


def _fails(data: bytes, code: str) -> UnicodeDecodeError | None:
    """What is wrong with bytes that are not in this encoding."""
    try:
        data.decode(code)
    except UnicodeDecodeError as error:
        return error
    except UnicodeError:  # a mark is missing, say
        return UnicodeDecodeError(code, data, 0, 1, "not decodable")
    return None


def lines(path: Path, other: str | None = None) -> list[str]:
    """The lines of a text file, at least one. The last one may end with a line feed or not."""
    text = read(path, other).removesuffix("\n")
    if not text:
        raise ValueError(f"{path}: expected at least one line, got none")
    return [line.removesuffix("\r") for line in text.split("\n")]


def characters(text: str, alphabet: Sequence[str] | None = None) -> tuple[Array, list[str]]:
    """A text as tokens (N,), and the character that each token stands for.

    alphabet: of a model that is there already; without it, all characters of the text, in order.
    Raises ValueError for a character that is not in it, unless ``<unk>`` is, which then stands for
    all others.
    """
    if not _text(text):
        raise ValueError("text: expected at least one character, got none")
    known = sorted(set(text)) if alphabet is None else list(alphabet)
    index = {c: k for k, c in enumerate(known)}
    if UNKNOWN not in index and (new := sorted(set(text) - index.keys())):
        raise ValueError(f"text: {new[0]!r} is not in the alphabet of {len(known)} characters")
    unknown = index.get(UNKNOWN)
    return np.array([index.get(c, unknown) for c in text], np.int64), known


def shakespeare(progress: bool | None = None) -> str:
    """1.1 MB of Shakespeare (Karpathy 2015)."""
    return read(find("tinyshakespeare/input.txt", progress))


def penn_treebank(progress: bool | None = None) -> tuple[list[Array], list[str]]:
    """Training, validation and test words of the Penn Treebank as Mikolov has prepared it.

    Returns three arrays of tokens, 929589, 73760 and 82430 with the end of each line, and the
    10000 words.
    """
    paths = [find(f"ptb/ptb.{part}.txt", progress) for part in ("train", "valid", "test")]
    texts = [[w for line in lines(path) for w in (*line.split(), END)] for path in paths]
    vocabulary = sorted(set(texts[0]))
    index = {w: k for k, w in enumerate(vocabulary)}
    for path, text in zip(paths, texts, strict=True):
        if UNKNOWN not in index and (new := set(text) - index.keys()):
            raise ValueError(f"{path}: {min(new)!r:.80} is not in {paths[0]}, nor is {UNKNOWN}")
    unknown = index.get(UNKNOWN)
    return [np.array([index.get(w, unknown) for w in text]) for text in texts], vocabulary


def words(text: str) -> list[str]:
    """Lower-case words and the marks between them; ``<br />`` is left out."""
    text = _text(text).replace("<br />", " ").lower()
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?|[.,!?;:()]", text)


def words_of(text: str) -> list[str]:
    """The same for any language: lower-case words with their accents, and the marks."""
    return re.findall(r"\w+(?:['\u2019]\w+)?|[^\w\s]", _text(text).lower())


def vocabulary(texts: Iterable[Sequence[str]], size: int) -> dict[str, int]:
    """Tokens of the most frequent words, ``size`` at most; 0 is padding, 1 stands for all others.

    Where the texts hold ``<pad>`` or ``<unk>``, these are 0 and 1.
    """
    size = checks.size(size, "size", 2)
    counts = Counter(w for text in texts for w in text if w not in (PAD, UNKNOWN))
    # Sorted, so that ties do not depend on the order of the texts.
    frequent = sorted(counts, key=lambda w: (-counts[w], w))[: size - 2]
    return {PAD: 0, UNKNOWN: 1} | {w: k + 2 for k, w in enumerate(frequent)}


def encode(text: Sequence[str], index: Mapping[str, int]) -> Array:
    """Words as tokens."""
    if not isinstance(index, Mapping):
        raise TypeError(f"index: expected tokens by word, got {type(index).__name__}")
    return np.array([index.get(w, 1) for w in text], np.int64)


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text: expected a text, got {type(value).__name__}")
    return value


def imdb(progress: bool | None = None) -> tuple[tuple[list[str], Array], ...]:
    """Film reviews (Maas et al. 2011), 25000 for training, 25000 for testing; 1 is positive."""
    return read_imdb(find("imdb/aclImdb_v1.tar.gz", progress))


def read_imdb(path: Path) -> tuple[tuple[list[str], Array], ...]:
    """The labelled reviews from the archive, in the order of their names."""
    parts: dict[str, list[tuple[str, str, int]]] = {"train": [], "test": []}
    with open_archive(path) as archive:
        for member in archive:
            place = re.fullmatch(r"aclImdb/(train|test)/(pos|neg)/[0-9]+_[0-9]+\.txt", member.name)
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
    """10662 sentences of film reviews (Pang & Lee 2005); label 1 is positive.

    The official files are in Windows-1252; files in UTF-8 are read, too.
    """
    texts, labels = [], []
    for label, end in enumerate(("neg", "pos")):
        path = find(f"rt-polarity/rt-polarity.{end}", progress)
        for number, line in enumerate(lines(path, "cp1252"), 1):
            if not line.strip():
                raise ValueError(f"{path}: line {number}: expected a sentence, got none")
            texts.append(line)
            labels.append(label)
    return texts, np.array(labels)


def phrases(progress: bool | None = None) -> list[tuple[str, str]]:
    """Short English phrases and their French translations (tatoeba.org, manythings.org)."""
    path = find("engfra/fra_first10000.txt", progress)
    pairs = []
    for number, line in enumerate(lines(path), 1):
        english, _, rest = line.partition("\t")
        french, _, _ = rest.partition("\t")  # behind which its source may stand
        if not english.strip() or not french.strip():
            raise ValueError(
                f"{path}: line {number}: expected English TAB French, got {line!r:.60}"
            )
        pairs.append((english, french))
    return pairs
