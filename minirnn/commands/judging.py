"""What ``minirnn label`` says: of the lines in a file, and of the answers of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minirnn import metrics
from minirnn.commands.labelling import Lines, same
from minirnn.protocol import Array

ROWS = 12  # labels of which a table is printed; a picture holds them all


def shown(lines: Lines) -> list[str]:
    """The first lines, and how many there are of each label."""
    found = [
        f"line {lines.at[k]}: {lines.texts[k]!r:.60} is {lines.names[lines.labels[k]]!r:.30}"
        for k in range(3)
    ]
    often = Counter(lines.labels.tolist()).most_common()
    counts = ", ".join(f"{lines.names[label]} {n}" for label, n in often[:ROWS])
    return [*found, f"lines of each label: {counts}" + (", ..." if len(often) > ROWS else "")]


def cautions(lines: Lines, balance: bool) -> list[str]:
    """What a person should know before trusting the figures."""
    often = Counter(lines.labels.tolist()).most_common()
    (most, n), (least, m) = often[0], often[-1]
    found = []
    if n > 5 * m:
        found.append(
            f"unbalanced: {lines.names[most]!r:.30} has {n} lines, {lines.names[least]!r:.30} has "
            f"{m}; look at the macro recall, too"
            + ("" if balance else "; --balance makes rare labels count as much")
        )
    together: dict[str, set[int]] = {}
    for line, label in zip(lines.texts, lines.labels.tolist(), strict=True):
        together.setdefault(same(line), set()).add(label)
    again = len(lines.texts) - len(together)
    unclear = sum(len(own) > 1 for own in together.values())
    if again:
        found.append(f"{again} lines repeat a text; all lines of a text are in the same part")
    if unclear:
        found.append(f"{unclear} texts have several labels: nobody can get all of these right")
    if len(lines.texts) < 500:
        found.append("so few lines that the figures vary a lot by chance; try several --seed")
    return found


def report(
    lines: Lines, p: Array, by_counting: Array, counting: str, network: str = "network"
) -> dict[str, Any]:
    """Print how good the network is, and return the figures.

    p: (N, K), of the network. by_counting: (N,), the answers of n-grams. counting, network: what
    the two are called.
    """
    train, _, test = lines.parts
    target, K = lines.labels[test], len(lines.names)
    often = int(np.bincount(lines.labels[train]).argmax())
    answers = {
        network: p.argmax(axis=1),
        counting: by_counting,
        f"always {lines.names[often]!r:.30}": np.full(len(test), often),
    }
    figures: dict[str, Any] = {"lines": {"test": len(test)}, "labels": lines.names}
    width = max(map(len, answers))
    print(f"\n{'of ' + str(len(test)) + ' test lines':<{width}}   right   macro recall")
    for name, answer in answers.items():
        table = metrics.confusion_matrix(answer, target, classes=K)
        right, recall = (
            100 * np.mean(answer == target),
            100 * np.nanmean(metrics.by_class(table).recall),
        )
        print(f"{name:<{width}}   {right:4.1f} %        {recall:4.1f} %")
        figures["network" if name == network else name] = {
            "right": float(right),
            "macro recall": float(recall),
        }
    print("\n" + verdict(answers[network] == target, by_counting == target))
    table = metrics.confusion_matrix(answers[network], target, classes=K)
    print_confusions(table, lines.names)
    print_worst(lines, p)
    return figures | {"confusion": table.tolist()}


def verdict(network: Array, counting: Array) -> str:
    """Which of two is better on the same lines (right or not, (N,)), and whether that is clear."""
    better = network.astype(float) - counting
    mean, error = 100 * better.mean(), 100 * better.std() / len(better) ** 0.5
    by = f"{abs(mean):.1f} points, standard error {error:.1f}"
    if mean > 2 * error:
        return f"The network is better than counting n-grams ({by})."
    if mean < -2 * error:
        return f"The network is worse than counting n-grams ({by}): use n-grams here."
    if mean > 0:
        return f"The network is better than counting n-grams, but not clearly so ({by})."
    return f"The network is not better than counting n-grams ({by}): use n-grams here."


def picture(table: list[list[float]], names: Sequence[str], file: Path) -> None:
    """Draw the table of confusions."""
    from minirnn import plot

    plot.save(plot.confusion(table, [name[:20] for name in names]), file)


def print_confusions(table: Array, names: Sequence[str]) -> None:
    """The table of a few labels, or what is most often mistaken for what."""
    K = len(names)
    if K <= ROWS:
        width = max(5, *(len(name[:12]) for name in names)) + 1
        print("\nrows: the label; columns: what the network says")
        print(" " * width + "".join(f"{name[:12]:>{width}}" for name in names) + "  recognized")
        for name, row in zip(names, table, strict=True):
            share = f"{100 * row[names.index(name)] / row.sum():.0f} %" if row.sum() else "-"
            cells = "".join(f"{int(n) or '.':>{width}}" for n in row)
            print(f"{name[:12]:<{width}}{cells}  {share:>9}")
        return
    wrong = table * (1 - np.eye(K))
    print("\nmost often mistaken:")
    for k in np.argsort(-wrong, axis=None, kind="stable")[:ROWS]:
        true, said = divmod(int(k), K)
        if wrong[true, said]:
            n, of = wrong[true, said], table[true].sum()
            print(f"  {names[true][:30]} for {names[said][:30]}: {n:.0f} of {of:.0f} lines")


def print_worst(lines: Lines, p: Array) -> None:
    """The lines of the test part that the network is most sure of, and wrong."""
    test = lines.parts[2]
    said = p.argmax(axis=1)
    wrong = np.flatnonzero(said != lines.labels[test])
    print("\nworst mistakes:" if len(wrong) else "\nno mistakes")
    for k in sorted(wrong, key=lambda k: -p[k, said[k]])[:10]:
        line = test[k]
        print(
            f"  line {lines.at[line]}: {lines.texts[line]!r:.60}: {100 * p[k, said[k]]:.0f} % "
            f"{lines.names[said[k]]}, but it is {lines.names[lines.labels[line]]}"
        )
