"""Tables as users have them: delimiters, marks, headers, gaps, and what is wrong in which line."""

import numpy as np
import pytest

from minirnn.datasets.table import read_table

PLAIN = "day,sales,note\n2020-01-01,1.5,a\n2020-01-02,,b\n2020-01-03,-2e3,c\n"


def read(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return read_table(data, "my.csv", **options)


def test_names_numbers_and_gaps():
    table = read(PLAIN)
    assert table.names == ["day", "sales", "note"]
    assert np.array_equal(table.numbers("sales"), [1.5, np.nan, -2000], equal_nan=True)
    assert np.array_equal(table.numbers("2"), table.numbers("sales"), equal_nan=True)
    assert table.lines == [2, 3, 4]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.encode("utf-16"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        "# of my shop\n\n" + PLAIN,
        PLAIN.replace("\n", ",\n").replace("note,", "note", 1),
        PLAIN.replace("2020-01-02,,", '"2020-01-02", NA ,'),
        PLAIN.replace(",", " ").replace("  ", " - "),
    ],
)
def test_one_table_in_many_forms(text):
    table = read(text)
    assert table.names == ["day", "sales", "note"]
    assert np.array_equal(table.numbers("sales"), [1.5, np.nan, -2000], equal_nan=True)


def test_decimal_commas_when_told():
    table = read("a;b\n1,5;x\n2;y\n", decimal=",")
    assert table.numbers("a").tolist() == [1.5, 2]
    assert read("1,5\n2,25\n", decimal=",").numbers("1").tolist() == [1.5, 2.25]


def test_without_a_header_columns_have_numbers():
    assert read("1,2\n3,4\n").names == ["1", "2"]
    assert read("2020-01-01,x\n2020-01-02,y\n").names == ["1", "2"]
    assert read("a,b\n3,4\n", header=False).names == ["1", "2"]
    assert read("1990,1991\n3,4\n", header=True).names == ["1990", "1991"]


def test_one_of_several_series():
    table = read("who,x\na,1\nb,2\na,3\n").where("who", "a")
    assert table.numbers("x").tolist() == [1, 3] and table.lines == [2, 4]
    with pytest.raises(ValueError, match="no row has 'c' as who; there are a, b"):
        read("who,x\na,1\nb,2\n").where("who", "c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "my.csv: the file is empty"),
        (" \n\n", "the file is empty"),
        ("a,b\n", "no rows after the header in line 1"),
        (
            "a,b\n1,2\n\n3,4,5\n",
            "line 4: expected 2 values, as in line 1, got 3; complete the line",
        ),
        ('a,b\n1,"2\n3,4\n', "unexpected end of data; is a quotation mark missing"),
        ("a,b\n1,2\n3,\0\n", "line 3: a zero byte; expected a text file"),
        ("größe\n1\n".encode("latin-1"), "line 1: not utf-8 at offset 2.*--encoding latin-1"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(text, says):
    with pytest.raises(ValueError, match=says):
        read(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "a\n1\nx\n",
            "line 3: column 'a': expected a number, got 'x'; correct it, or leave it empty",
        ),
        ("a\n1\n1e999\n", "line 3: column 'a': expected a number, got '1e999'"),
        ("a\n1_0\n2\n", "line 2: column 'a': expected a number, got '1_0'"),
        ("a;b\n1,5;2\n", "got '1,5'; if ',' is the decimal mark, say --decimal ','; if not"),
    ],
)
def test_a_text_among_numbers_is_refused_with_its_line(text, says):
    with pytest.raises(ValueError, match=says):
        read(text).numbers("a")


def test_a_first_line_of_names_and_numbers_needs_a_word():
    with pytest.raises(ValueError, match="'1': expected a number, got 'a'; if the first line"):
        read("a,5\n1,2\n").numbers("1")


def test_unknown_columns_and_encodings_are_refused():
    with pytest.raises(ValueError, match="no column 'c'; it has 'a', 'b'"):
        read("a,b\n1,2\n").numbers("c")
    with pytest.raises(ValueError, match="two columns are called 'a'"):
        read("a,a\n1,2\n").numbers("a")
    with pytest.raises(ValueError, match="encoding: expected one that Python knows"):
        read("a\n1\n", encoding="klingon")
