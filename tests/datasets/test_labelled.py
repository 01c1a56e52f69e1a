"""Lines with a label are read as they are meant, and what is found is told; or they are refused."""

import random

import pytest

from minirnn.datasets.labelled import labelled, texts_alone

NAMES = [(f"name {k}", "xyz"[k % 3]) for k in range(40)]


def lines(row, pairs=NAMES):
    return "".join(row.format(t=t, g=g, n=k) + "\n" for k, (t, g) in enumerate(pairs))


@pytest.mark.parametrize("content, column, head", [
    (lines("{t}\t{g}"), 2, False),
    (lines("{g}\t{t}"), 1, False),
    (lines("{t},{g}"), 2, False),
    ("who,where\n" + lines("{t},{g}"), 2, True),
    ("where;who\n" + lines("{g};{t}"), 1, True),
    ("id,text,label\n" + lines("{n},{t},{g}"), 3, True),
    ("label,text,id\n" + lines("{g},{t},{n}"), 1, True),
    ("id,Sentiment,text\n" + lines("{n},{g},{t}"), 2, True),
    (lines("{n},{t},{g}"), 3, False),
    (lines('"{t}",{g}'), 2, False),
    (lines(" {t} \t {g} \n"), 2, False),
])  # fmt: skip
def test_the_label_the_head_and_the_separator_are_found(content, column, head):
    found = labelled(content, "f")
    assert [*zip(found.texts, found.labels, strict=True)] == NAMES
    assert found.found[2].endswith(f"label: column {column}, 3 different")
    assert ("is the head" in found.found[1]) == head
    written = content.split("\n")
    assert all(text in written[at - 1] for text, at in zip(found.texts, found.lines, strict=True))


def test_columns_can_be_named():
    content = "a,b,c\n" + lines("{g},{t},{g}{g}")
    for label, want in (("first", "x"), ("last", "xx"), ("c", "xx"), ("3", "xx"), ("a", "x")):
        assert labelled(content, "f", label, "b").labels[0] == want
    with pytest.raises(ValueError, match=r"f: it is not clear which column is the label: 1 \(3"):
        labelled(content, "f")
    with pytest.raises(ValueError, match=r"--label: expected first, last, a number in 1..3 or a"):
        labelled(content, "f", "d")
    with pytest.raises(ValueError, match=r"--text: .* of f, 'a \| b \| c', got '4'"):
        labelled(content, "f", "a", "4")
    with pytest.raises(ValueError, match="in two columns, got 1 for both"):
        labelled(content, "f", "a", "1")


def test_a_first_line_is_a_line_if_that_is_said():
    content = "who\twhere\n" + lines("{t}\t{g}")
    assert labelled(content, "f").texts[0] == "name 0"
    assert labelled(content, "f", header=False).texts[0] == "who"
    with pytest.raises(ValueError, match="got 'where'"):
        labelled(content, "f", "where", header=False)


def test_quoted_texts_may_hold_commas_quotes_and_ends_of_lines():
    pairs = [('a, "b"\nc', "x"), *NAMES]
    content = "".join('"{}",{}\n'.format(t.replace('"', '""'), g) for t, g in pairs)
    found = labelled(content, "f")
    assert [*zip(found.texts, found.labels, strict=True)] == pairs
    assert found.lines[:3] == [1, 3, 4]


MANY = lines("{t},{g}")


@pytest.mark.parametrize("content, message", [
    ("", "f: expected lines with a text and a label, got an empty file"),
    (" \n\n", "f: expected lines with a text and a label, got an empty file"),
    ("a\tx\nb\ty\n", "f: expected at least 30 lines with a label, got 2"),
    (lines("{t}"), "f: line 1: expected 2 columns, separated by commas, got 1: 'name 0'"),
    (MANY + "a, b,x\n", "f: line 41: expected 2 columns, .* got 3: 'a, b,x'; put a text with com"),
    (lines("{t}\t{g}") + "a\n", "f: line 41: expected 2 columns, separated by tabs as in its firs"),
    (MANY + "\n,x\n", "f: line 42: expected a text in column 1, got none; write one, or remove"),
    (MANY + "a, \n", "f: line 41: expected a label in column 2, got none"),
    (MANY + '"a,x\n', r"f: line 41: not in the form of a CSV file \(unexpected end of data\)"),
    (MANY + '"a"b,x\n', "f: line 41: not in the form of a CSV file"),
    (lines("{t},x"), "f: column 2: expected at least two different labels, got only 'x'"),
    (lines("{t},{t}"), "f: it is not clear which column is the label: 1 .39 .* expected --label"),
])  # fmt: skip
def test_what_cannot_be_right_is_refused_with_its_line(content, message):
    with pytest.raises(ValueError, match=message):
        labelled(content, "f")


def test_of_three_columns_one_with_many_values_is_no_label_unless_that_is_said():
    content = "".join(f"city {k // 4},name {k},{k}\n" for k in range(100))
    with pytest.raises(ValueError, match=r"f: it is not clear .* label: 1 \(25 dif"):
        labelled(content, "f")
    assert labelled(content, "f", "first").labels[:5] == ["city 0"] * 4 + ["city 1"]


def test_a_column_of_labels_that_never_come_again_is_refused():
    with pytest.raises(ValueError, match="labels that come again, got 39 different ones in 39"):
        labelled(lines("{t},{t}"), "f", "last")


def test_labels_that_differ_in_capitals_are_told():
    content = lines("{t},{g}") + "a,X\n"
    assert labelled(content, "f").found[-1] == "different only in capitals, so two labels: X, x"


def test_any_other_order_of_the_lines_gives_the_same_pairs():
    mixed = random.Random(0).sample(NAMES, len(NAMES))
    found = labelled(lines("{t}\t{g}", mixed), "f")
    assert [*zip(found.texts, found.labels, strict=True)] == mixed


def test_new_texts_are_lines_or_a_column():
    assert texts_alone("a, b\n\n c \n", "f") == ["a, b", "c"]
    assert texts_alone("who,n\na,1\nb,2\n", "f", "who") == ["a", "b"]
    assert texts_alone("a\t1\nb\t2\n", "f", "first") == ["a", "b"]
    with pytest.raises(ValueError, match="f: line 2: expected a text in column 1"):
        texts_alone("a\t1\n\t2\n", "f", "first")
    with pytest.raises(ValueError, match="f: line 2: expected a text alone, got one with a tab"):
        texts_alone("a\nb\tx\n", "f")
    with pytest.raises(ValueError, match="f: expected a text in each line, got an empty file"):
        texts_alone("\n \n", "f")
