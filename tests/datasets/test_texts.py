"""Text files are read as they are meant, or refused with the file and the line."""

import io

import numpy as np
import pytest

from minirnn.datasets import texts


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Put files into the folder that is searched."""
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path))

    def write(**contents):
        for name, content in contents.items():
            folder, name = {"neg": ("rt-polarity", "rt-polarity.neg"),
                            "pos": ("rt-polarity", "rt-polarity.pos"),
                            "phrases": ("engfra", "fra_first10000.txt"),
                            }.get(name, ("ptb", f"ptb.{name}.txt"))  # fmt: skip
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_bytes(content)

    return write


LINES = ["un café “noir”…", "it’s a – b", "one\x0ctwo\x1cthree"]  # noqa: RUF001


@pytest.mark.parametrize("code", ["cp1252", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reviews_in_either_code_have_a_line_feed_behind_each_line(code, end, put):
    put(neg="".join(line + end for line in LINES).encode(code), pos=b"good")
    sentences, labels = texts.polarity()
    assert sentences == [*LINES, "good"] and labels.tolist() == [0, 0, 0, 1]


def test_characters_that_end_a_line_elsewhere_are_part_of_it(put):
    text = "a\x85b\u2028c\x0bd"
    put(neg=f"{text}\n".encode(), pos=b"good\n")
    assert texts.polarity()[0] == [text, "good"]
    put(phrases=f"Go\t{text}\tby whom\nNo\tnon\n".encode())
    assert texts.phrases() == [("Go", text), ("No", "non")]
    put(train=f"{text}\n<unk>\n".encode(), valid=b"a\n", test=b"a\n")
    assert len(texts.penn_treebank()[0][0]) == 7  # five words, and the ends of two lines


@pytest.mark.parametrize("content, message", [
    (b"", "expected at least one line, got none"),
    (b"\n", "expected at least one line, got none"),
    (b"\xef\xbb\xbf", "expected at least one line, got none"),
    (b"good\n\nfine\n", "line 2: expected a sentence, got none"),
    (b"good\n \t\n", "line 2: expected a sentence, got none"),
    ("caf\u00e9".encode() + b"\xe9\n", "not UTF-8 at offset 5"),  # both in one file
    (b"\xef\xbb\xbfcaf\xe9\n", "not UTF-8 at offset 6"),
    (b"caf\xe9\x81\n", "not UTF-8 at offset 3"),  # 81 is no character of Windows
])  # fmt: skip
def test_reviews_that_are_none_are_refused(content, message, put):
    put(neg=b"bad\n", pos=content)
    with pytest.raises(ValueError, match=f"rt-polarity.pos: {message}"):
        texts.polarity()
    put(neg=content, pos=b"good\n")
    with pytest.raises(ValueError, match=f"rt-polarity.neg: {message}"):
        texts.polarity()


def test_a_mark_of_the_byte_order_is_not_part_of_the_first_word(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbfword")
    assert texts.read(tmp_path / "t.txt") == "word"
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbfab\xff")
    with pytest.raises(ValueError, match=r"t.txt: not UTF-8 at offset 5"):
        texts.read(tmp_path / "t.txt")


@pytest.mark.parametrize("content, message", [
    (b"", "expected at least one line"), (b" \tva\n", "line 1: expected English TAB French"),
    (b"Go\tva\n\n", "line 2: expected English TAB French"),
    (b"caf\xe9\tcaf\xe9\n", "not UTF-8 at offset 3"),
])  # fmt: skip
def test_phrases_that_are_none_are_refused(content, message, put):
    put(phrases=content)
    with pytest.raises(ValueError, match=f"fra_first10000.txt: {message}"):
        texts.phrases()


def test_a_word_that_is_not_in_the_training_text(put):
    put(train=b"a b\n", valid=b"a\n", test=b"a c\n")
    with pytest.raises(ValueError, match=r"ptb.test.txt: 'c' is not in .*ptb.train.txt, nor is <u"):
        texts.penn_treebank()
    put(train=b"a b <unk>\n")
    parts, vocabulary = texts.penn_treebank()
    assert vocabulary == ["<eos>", "<unk>", "a", "b"] and parts[2].tolist() == [2, 1, 0]
    put(train=b"")
    with pytest.raises(ValueError, match=r"ptb.train.txt: expected at least one line"):
        texts.penn_treebank()


@pytest.mark.parametrize("size", [2, 3, 4, 5, 10**6])
def test_a_vocabulary_has_at_most_as_many_words_as_asked_for(size):
    index = texts.vocabulary([["a", "b", "<unk>", "<pad>"], ["b", "<unk>", "<unk>"]], size)
    assert index == dict(list({"<pad>": 0, "<unk>": 1, "b": 2, "a": 3}.items())[:size])
    assert texts.encode(["<unk>", "x", "<pad>"], index).tolist() == [1, 1, 0]


@pytest.mark.parametrize("call, message", [
    (lambda: texts.vocabulary([["a"]], 1), "size: expected a whole number of at least 2, got 1"),
    (lambda: texts.vocabulary([["a"]], 0), "size: expected a whole number of at least 2, got 0"),
    (lambda: texts.vocabulary([["a"]], -5), "size: expected a whole number of at least 2, got -5"),
    (lambda: texts.vocabulary([["a"]], 2.5), r"size: expected a whole number, got 2\.5"),
    (lambda: texts.encode(["a"], ["a"]), "index: expected tokens by word, got list"),
    (lambda: texts.words(b"a"), "text: expected a text, got bytes"),
    (lambda: texts.words_of(None), "text: expected a text, got NoneType"),
    (lambda: texts.characters(np.ones(3)), "text: expected a text, got ndarray"),
])  # fmt: skip
def test_wrong_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


ACCENTS = "d\u00e9j\u00e0 vu\nna\u00efve\n"


@pytest.mark.parametrize("code, encoding", [
    ("utf-8", None), ("utf-8-sig", None), ("utf-8-sig", "utf-8"), ("utf-16", None),
    ("utf-16", "utf-16-le"), ("utf-32", None), ("latin-1", "latin-1"), ("cp1252", "Windows-1252"),
    ("utf-16-be", "utf-16-be"), ("mac-roman", "mac-roman"),
])  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_encoding_and_end_of_line_gives_the_same_text(code, encoding, end):
    data = ACCENTS.replace("\n", end).encode(code)
    assert texts.decoded(data, "f", encoding) == ACCENTS


@pytest.mark.parametrize("data, encoding, message", [
    (b"a\nb\xe9\n", None, r"f: line 2: not UTF-8 \(byte e9 at offset 3\); .* --encoding, such as"),
    (b"a\nb\x81\n", "cp1252", r"f: line 2: not CP1252 \(byte 81 at offset 3\)"),
    ("\u00e9".encode(), "cp1252", "f: it is in UTF-8, but the encoding .* is cp1252; give none"),
    ("\u00e9".encode("utf-16"), "latin-1", "f: it is in UTF-16, but the encoding .* is latin-1"),
    ("ab".encode("utf-16-be"), "utf-16", "f: the mark of the byte order is missing; expected utf-"),
    ("a\nb".encode("utf-16-le"), None, "f: line 1: a character of value 0.* utf-16-le"),
    (b"a\nb\0", None, "f: line 2: a character of value 0, which no text has"),
    (b"a", "utf8x", "encoding: expected one that Python knows, such as .*, got 'utf8x'"),
    (b"a", "base64", "encoding: expected one that Python knows, such as .*, got 'base64'"),
])  # fmt: skip
def test_bytes_that_are_no_text_are_refused_with_their_line(data, encoding, message):
    with pytest.raises(ValueError, match=message):
        texts.decoded(data, "f", encoding)


def test_a_text_of_the_user_is_a_file_or_standard_input(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert texts.of_a_user(tmp_path / "a.txt") == "a\nb"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9")))
    assert texts.of_a_user("-", "latin-1") == "caf\u00e9"


def test_characters_of_a_given_alphabet():
    tokens, alphabet = texts.characters("abz", ["b", "a", "<unk>"])
    assert tokens.tolist() == [1, 0, 2] and alphabet == ["b", "a", "<unk>"]
    with pytest.raises(ValueError, match="text: 'z' is not in the alphabet of 2 characters"):
        texts.characters("abz", ["b", "a"])
