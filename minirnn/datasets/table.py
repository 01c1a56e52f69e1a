"""Read a table of text (CSV) as columns of numbers, and say in which line what is wrong.

The first line may hold names or not. Columns are separated by a comma, a semicolon, a tab or a bar:
the one that gives every line the same number of values; or by spaces, where none of these does.
Empty lines, and comments (#) before the first row, are left out.
"""

from __future__ import annotations

import collections
import csv
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.datasets.dates import read_date
from minirnn.protocol import Array

DELIMITERS = (",", ";", "\t", "|")
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?", ".", "#n/a", "<na>"}
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
SEP = re.compile(r"sep=(.)\r?\n")
MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class Table(NamedTuple):
    """The texts of a table, and where they stand in the file."""

    file: str
    names: list[str]  # of the columns; "1", "2", ... without a header
    rows: list[list[str]]
    lines: list[int]  # the number of the line in which each row ends, from 1
    delimiter: str
    decimal: str

    def place(self, name: str) -> int:
        """A column by its name, or by its number from 1. ValueError if there is none."""
        found = [k for k, own in enumerate(self.names) if own == name]
        if len(found) > 1:
            raise ValueError(f"{self.file}: line 1: two columns are called {name!r}; rename one")
        if not found and name.isdecimal() and 1 <= int(name) <= len(self.names):
            return int(name) - 1
        if not found:
            names = ", ".join(repr(own) for own in self.names)
            raise ValueError(f"{self.file}: no column {name!r:.80}; it has {names:.400}")
        return found[0]

    def numbers(self, name: str) -> Array:
        """A column as numbers (T,), with NaN where a value is missing. ValueError for a text."""
        k = self.place(name)
        values = np.empty(len(self.rows))
        for n, row in enumerate(self.rows):
            try:
                values[n] = as_number(row[k], self.decimal)
            except ValueError:
                raise ValueError(self._no_number(n, k)) from None
        return values

    def where(self, name: str, value: str) -> Table:
        """The rows that hold this text in a column, of a file with several series below another."""
        k = self.place(name)
        keep = [n for n, row in enumerate(self.rows) if row[k].strip() == value]
        if not keep:
            some = ", ".join(sorted({row[k].strip() for row in self.rows})[:8])
            raise ValueError(f"{self.file}: no row has {value!r} as {name}; there are {some}")
        return self._replace(rows=[self.rows[n] for n in keep], lines=[self.lines[n] for n in keep])

    def _no_number(self, n: int, k: int) -> str:
        text = self.rows[n][k].strip()
        where = f"{self.file}: line {self.lines[n]}: column {self.names[k]!r}"
        other = "," if self.decimal == "." else "."
        hint = "correct it, or leave it empty if the value is not known"
        try:
            as_number(text, other)
            hint = f"if {other!r} is the decimal mark, say --decimal {other!r}; if not, remove it"
        except ValueError:
            if n == 0 and self.names[0] == "1":
                hint = "if the first line holds names, say --header"
        return f"{where}: expected a number, got {text!r:.40}; {hint}"


def as_number(text: str, decimal: str = ".") -> float:
    """A number, or NaN for what marks a missing value. ValueError for another text."""
    text = text.strip()
    if text.lower() in MISSING:
        return np.nan
    if decimal == ",":
        text = text.replace(".", "x").replace(",", ".")  # 1.234,5 is no number here
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    number = float(text)
    if np.isinf(number):
        raise ValueError(text)
    return number


def read_table(
    data: bytes, file: str, delimiter: str | None = None, decimal: str = ".",
    header: bool | None = None, encoding: str = "utf-8",
) -> Table:  # fmt: skip
    """The table in the bytes of a file. ``file`` is its name, for messages.

    header: whether the first line holds names; None looks whether a number or a date is in it.
    Raises ValueError, with the line and what to do, for a file that is empty, of another encoding,
    or whose lines differ in their number of values.
    """
    checks.choice(decimal, "decimal", (".", ","))
    text = decoded(data, file, encoding)
    if "\0" in text:
        raise ValueError(f"{file}: line {text[: text.index(chr(0))].count(chr(10)) + 1}: a zero "
                         "byte; expected a text file (CSV), save the table as one")  # fmt: skip
    if not text.strip():
        raise ValueError(f"{file}: the file is empty; expected a line for each time step")
    if (told := SEP.match(text)) is not None:  # as Excel writes it
        text, delimiter = "\n" + text[told.end() :], delimiter or told[1]
    if delimiter is None:
        delimiter = guessed(text, decimal)
    rows, lines = split_lines(text, file, delimiter)
    names = [name.strip() for name in rows[0]]
    if header is None:
        header = not any(looks_like_data(name, decimal) for name in names) and any(names)
    if not header:
        names = [str(k + 1) for k in range(len(names))]
    first = 1 if header else 0
    if len(rows) <= first:
        raise ValueError(f"{file}: no rows after the header in line {lines[0]}")
    return Table(file, names, rows[first:], lines[first:], delimiter, decimal)


def decoded(data: bytes, file: str, encoding: str = "utf-8") -> str:
    """Bytes as text; a mark of the byte order decides. ValueError says what else to try."""
    for mark, own in MARKS:
        if data.startswith(mark):
            data, encoding = (data[len(mark) :], own) if own == "utf-8" else (data, own)
            break
    try:
        return data.decode(encoding)
    except LookupError:
        raise ValueError(f"encoding: expected one that Python knows, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{file}: line {line}: not {encoding} at offset {error.start}; say which encoding it "
            "is, for instance --encoding latin-1"
        ) from None


def guessed(text: str, decimal: str) -> str:
    """The delimiter that gives the first lines the same number of values, and the most."""
    some = [line for line in text[:100_000].splitlines()[:200] if line.strip()]
    some = [line for line in some if not line.startswith("#")] or some
    best, found = (0, 0), DELIMITERS[1 if decimal == "," else 0]
    for delimiter in DELIMITERS:
        if delimiter == decimal:
            continue
        counts = collections.Counter(len(row) for row in csv.reader(some, delimiter=delimiter))
        width, lines = counts.most_common(1)[0]
        score = (lines if width > 1 else 0, width)
        # A decimal comma divides lines too; a semicolon does so on purpose.
        if score > best or (delimiter != "," and score[0] >= best[0] > 0 and found == ","):
            best, found = score, delimiter
    widths = {len(line.split()) for line in some[1:]}
    return " " if best[0] == 0 and len(widths) == 1 and widths != {1} else found


def split_lines(text: str, file: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Rows of equal width, and the line in which each ends."""
    content = io.StringIO(text, newline="")
    spaces = delimiter == " "
    reader = csv.reader(content, delimiter=delimiter, skipinitialspace=spaces, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not any(value.strip() for value in row) or (not rows and row[0].startswith("#")):
                continue
            if spaces and not row[-1]:
                row = row[:-1]
            if rows and len(row) == len(rows[0]) + 1 and not row[-1].strip():
                row = row[:-1]  # a delimiter at the end of the line
            if rows and len(row) != len(rows[0]):
                raise ValueError(
                    f"{file}: line {reader.line_num}: expected {len(rows[0])} values, as in line "
                    f"{lines[0]}, got {len(row)}; complete the line or remove it, or name the "
                    f"delimiter with --delimiter (taken: {delimiter!r})"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{file}: line {max(reader.line_num, 1)}: {error}; is a quotation mark "
                         "missing or too many?") from None  # fmt: skip
    return rows, lines


def looks_like_data(text: str, decimal: str) -> bool:
    """Whether a text is a number or a date."""
    try:
        return not np.isnan(as_number(text, decimal))
    except ValueError:
        return read_date(text) is not None


def columns_of(table: Table, names: Sequence[str]) -> Array:
    """Columns side by side, (T, D)."""
    return np.stack([table.numbers(name) for name in names], axis=1)


def is_numeric(table: Table, name: Any) -> bool:
    """Whether a column holds numbers, or nothing, in all rows."""
    try:
        table.numbers(str(name))
    except ValueError:
        return False
    return True
