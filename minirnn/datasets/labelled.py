"""Lines of text with a label: names and their language, sentences and their sentiment.

A line holds cells, separated by tabs, or by commas or semicolons as in a CSV file, where a text
with commas stands in double quotes. Which cell is the label is found, or named. Whatever is found
is told in words, so that a person can see whether it is right; what is doubtful is refused.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
NAMES = ("label", "class", "category", "target", "sentiment", "language")  # of a column of labels
FEWEST = 30  # lines; with fewer a tenth for testing says nothing


class Labelled(NamedTuple):
    """Texts, their labels, where they stand in the file, and how the file was read."""

    texts: list[str]
    labels: list[str]
    lines: list[int]  # the number of each one's line in the file, from 1
    found: list[str]  # what was found out about the file, a sentence each


class Table(NamedTuple):
    """The cells of a file."""

    separator: str
    rows: list[list[str]]
    lines: list[int]  # the number of the line where each row begins
    blank: int  # lines without anything


def labelled(
    content: str, name: str, label: str | None = None, text: str | None = None, header: bool = True
) -> Labelled:
    """The texts and labels in the content of a file.

    name: of the file, for messages. label, text: which column is which, "first", "last", a number
    from 1, or its name in the first line. header: False if the first line is none, whatever it
    looks like.

    Raises ValueError, with the file and the line, for what cannot be read so: lines with another
    number of cells, a label or a text that is missing, one label only, fewer than ``FEWEST`` lines;
    and where it is not clear which column is the label.
    """
    table = cells(content, name)
    if len(table.rows) < FEWEST:
        raise ValueError(
            f"{name}: expected at least {FEWEST} lines with a label, got {len(table.rows)}; with "
            "so few nothing can be learned and tested"
        )
    heads = table.rows[0]
    named = [which for which in (label, text) if header and which and heads.count(which) == 1]
    if label is None:
        at = likely_label(table, name, header)
    else:
        at = place(label, heads, name, "--label", header)
    alone = all(row[at] != heads[at] for row in table.rows[1:])  # no line has such a label
    body = table
    if header and (named or alone):
        body = table._replace(rows=table.rows[1:], lines=table.lines[1:])
    text_at = longest(body, at) if text is None else place(text, heads, name, "--text", header)
    if text_at == at:
        raise ValueError(
            f"{name}: expected the text and the label in two columns, got {at + 1} for both"
        )
    texts, labels = filled(body, text_at, "text", name), filled(body, at, "label", name)
    check_labels(labels, name, at)
    empty = f"; {table.blank} empty ones are left out" if table.blank else ""
    head = f"line {table.lines[0]} is the head: {' | '.join(heads)} (--no-header if it is not)"
    found = [
        f"{len(texts)} lines, separated by {SEPARATORS[table.separator]}{empty}",
        "no head" if body is table else head,
        f"text: column {text_at + 1}; label: column {at + 1}, {len(set(labels))} different",
        *odd_labels(labels),
    ]
    return Labelled(texts, labels, body.lines, found)


def filled(table: Table, column: int, what: str, name: str) -> list[str]:
    """A column in which each line has something."""
    for row, line in zip(table.rows, table.lines, strict=True):
        if not row[column]:
            raise ValueError(
                f"{name}: line {line}: expected a {what} in column {column + 1}, got none; write "
                "one, or remove the line"
            )
    return [row[column] for row in table.rows]


def cells(content: str, name: str) -> Table:
    """The cells of each line that is not empty, without the blanks around them."""
    lines = content.split("\n")
    full = [k for k, line in enumerate(lines) if line.strip()]
    if not full:
        raise ValueError(f"{name}: expected lines with a text and a label, got an empty file")
    blank = len(lines) - len(full) - (not lines[-1])
    if 2 * sum("\t" in lines[k] for k in full) >= len(full):
        rows = [lines[k].split("\t") for k in full]
        table = Table("\t", rows, [k + 1 for k in full], blank)
    else:
        table = quoted(content, name, blank)
    width = len(table.rows[0])
    for row, line in zip(table.rows, table.lines, strict=True):
        if len(row) != width or width < 2:
            raise ValueError(
                f"{name}: line {line}: expected {max(2, width)} columns, separated by "
                f"{SEPARATORS[table.separator]}{' as in its first line' if width > 1 else ''}, got "
                f"{len(row)}: {table.separator.join(row)!r:.60}; "
                + (
                    "each line needs a text, a tab and a label"
                    if width < 2 or table.separator == "\t"
                    else "put a text with commas into double quotes, or separate by tabs"
                )
            )
    return table._replace(rows=[[cell.strip() for cell in row] for row in table.rows])


def quoted(content: str, name: str, blank: int) -> Table:
    """The rows of a CSV file, by commas or by semicolons: whichever fits more of its lines."""
    tables: list[Table] = []
    wrong = ""
    for separator in (",", ";"):
        table, before = Table(separator, [], [], blank), 0
        reader = csv.reader(io.StringIO(content), delimiter=separator, strict=True)
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    table.rows.append(row)
                    table.lines.append(before + 1)
                before = reader.line_num
            tables.append(table)
        except csv.Error as error:
            wrong = wrong or f"line {before + 1}: not in the form of a CSV file ({error})"
    fits = [sum(len(row) == len(t.rows[0]) > 1 for row in t.rows) for t in tables]
    if wrong and not any(fits):
        raise ValueError(
            f'{name}: {wrong}; write a double quote within a quoted text twice, "", or separate by '
            "tabs"
        )
    return tables[fits.index(max(fits))]


def place(which: str, heads: Sequence[str], name: str, option: str, header: bool) -> int:
    """The column of this name or number."""
    if which in ("first", "last"):
        return 0 if which == "first" else len(heads) - 1
    if header and heads.count(which) == 1:
        return heads.index(which)
    if which.isascii() and which.isdigit() and 1 <= int(which) <= len(heads):
        return int(which) - 1
    raise ValueError(
        f"{option}: expected first, last, a number in 1..{len(heads)} or a name in the first line "
        f"of {name}, {' | '.join(heads)!r:.80}, got {which!r:.80}"
    )


def likely_label(table: Table, name: str, header: bool) -> int:
    """The column that has a label's name, or else the first or the last, if it has far fewer
    different values than the other. ValueError where neither is clear."""
    heads = table.rows[0]
    known = [k for k, head in enumerate(heads) if header and head.lower() in NAMES]
    if len(known) == 1 and all(row[known[0]] != heads[known[0]] for row in table.rows[1:]):
        return known[0]
    different = [len({row[k] for row in table.rows[1:]}) for k in range(len(heads))]
    ends = sorted({0, len(heads) - 1}, key=lambda k: different[k])
    few, many = (different[k] for k in ends)
    if 2 * few <= many and (len(heads) == 2 or few < 20 <= many):
        return ends[0]
    columns = ", ".join(f"{k + 1} ({n} different values)" for k, n in enumerate(different))
    raise ValueError(
        f"{name}: it is not clear which column is the label: {columns}; expected --label first, "
        "last, a number or a name"
    )


def longest(table: Table, label_at: int) -> int:
    """The column with the most characters, beside that of the labels."""
    length = [sum(len(row[k]) for row in table.rows) for k in range(len(table.rows[0]))]
    return max((k for k in range(len(length)) if k != label_at), key=lambda k: length[k])


def check_labels(labels: Sequence[str], name: str, column: int) -> None:
    """Raise ValueError for labels from which nothing can be learned."""
    kinds, where = len(set(labels)), f"{name}: column {column + 1}"
    if kinds == 1:
        raise ValueError(
            f"{where}: expected at least two different labels, got only {labels[0]!r:.60}; is it "
            "the right column? (--label first, last, a number or a name)"
        )
    if 2 * kinds > len(labels):
        raise ValueError(
            f"{where}: expected labels that come again, got {kinds} different ones in "
            f"{len(labels)} lines; is it the right column? (--label first, last, a number or a "
            "name)"
        )


def odd_labels(labels: Sequence[str]) -> list[str]:
    """Words of caution about labels that are written in two ways."""
    ways = Counter(label.casefold() for label in set(labels))
    twice = sorted(label for label in set(labels) if ways[label.casefold()] > 1)
    return [f"different only in capitals, so two labels: {', '.join(twice)}"] if twice else []


def texts_alone(content: str, name: str, text: str | None = None, header: bool = True) -> list[str]:
    """The texts in a file without labels: a line each, or one column of a table.

    text: the column, as in ``labelled``. Empty lines are left out. Raises ValueError for a file
    without texts, and for lines with a tab where no column is named.
    """
    if text is not None:
        table = cells(content, name)
        column = place(text, table.rows[0], name, "--text", header)
        first = int(header and table.rows[0].count(text) == 1)
        body = table._replace(rows=table.rows[first:], lines=table.lines[first:])
        return filled(body, column, "text", name)
    lines = content.split("\n")
    for k, line in enumerate(lines):
        if "\t" in line:
            raise ValueError(
                f"{name}: line {k + 1}: expected a text alone, got one with a tab; name the column "
                "of the text, with --text"
            )
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ValueError(f"{name}: expected a text in each line, got an empty file")
    return found
