"""Learn to label lines of text: names by language, sentences by sentiment.

FILE holds lines with a text and a label, separated by a tab, or as in a CSV file. Which column is
which is found and told. Short texts are read character by character, sentences word by word, by a
GRU in both directions. A tenth of the lines, drawn by chance, decides when to stop, another tenth
is for testing; a text that occurs several times is on one side only. To compare with: the most
frequent label, and naive Bayes on n-grams. Where the network is not better, it is said.

Then label new lines, a text each:  minirnn label --predict out/label/label.npz NEW
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.commands import bayes, judging, labelling, training
from minirnn.commands.common import positive, try_folder, whole_number
from minirnn.commands.labelling import Lines
from minirnn.datasets import labelled, texts
from minirnn.files.atomic import write
from minirnn.protocol import Array

KIND = "label"  # what the model's file says of itself
PATIENCE, BATCH, LR = 5, 64, 4e-3
LONGEST = {"characters": 4, "words": 3}  # n of the n-grams
CHANGES = ("label", "text", "no_header", "by", "alone", "balance", "seed", "epochs")  # the result


def add(sub: Any) -> None:
    own = sub.add_parser(
        "label",
        help="learn to label lines of text, of a file of your own; label new ones",
        description=__doc__,
        epilog="example: minirnn label names.tsv --label last",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own.add_argument("file", metavar="FILE", help="the lines; - is standard input")
    own.add_argument("--predict", type=Path, metavar="MODEL", help="label new lines with it")
    column = "first, last, a number from 1, or a name in the first line"
    own.add_argument("--label", metavar="COLUMN", help=f"where the label is: {column}")
    own.add_argument("--text", metavar="COLUMN", help="where the text is, said in the same way")
    own.add_argument("--no-header", action="store_true", help="the first line is not a head")
    own.add_argument("--encoding", metavar="NAME", help="of FILE, such as cp1252; without it UTF-8")
    own.add_argument(
        "--by", choices=("characters", "words"), help="how to read a text; without it: as fits"
    )
    own.add_argument(
        "--alone",
        action="store_true",
        help="do not begin from the answer of n-grams: see what a network learns by itself",
    )
    own.add_argument("--balance", action="store_true", help="rare labels count as much as others")
    own.add_argument(
        "--out",
        type=Path,
        default=Path("out") / "label",
        metavar="DIR",
        help="folder for the model and the picture (default: %(default)s)",
    )
    own.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    own.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="of all that is random, the split too (default: %(default)s)",
    )
    own.add_argument(
        "--epochs",
        type=positive,
        metavar="N",
        help="how long to train at most (default: fewer for longer files)",
    )
    own.add_argument(
        "--fresh", action="store_true", help="begin anew where a training is unfinished"
    )
    own.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """``minirnn label``."""
    if arguments.predict is not None:
        return predict(arguments)
    return learn(arguments)


def learn(arguments: argparse.Namespace) -> int:
    """Train, test and save."""
    out, began = arguments.out, time.perf_counter()
    try_folder(out, "--out")
    if arguments.json is not None:
        try_folder(arguments.json.parent, "--json")
    content = texts.of_a_user(arguments.file, arguments.encoding)
    rng = np.random.default_rng(arguments.seed)
    lines = prepared(content, arguments, rng)
    of = {option: getattr(arguments, option) for option in CHANGES}
    of["content"] = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    job = training.begin(out, of, dict, arguments.fresh)
    counted, factor, start = counting(lines, rng)
    if arguments.alone:
        start = np.zeros_like(start)
    model, index = trained(lines, start, job, arguments, rng)
    test = lines.parts[2]
    x = [labelling.encode(lines.tokens[k], index) for k in test]
    p = labelling.probabilities(model, x, start[test])
    by_counting = bayes.scores(counted, [lines.tokens[k] for k in test]).argmax(axis=1)
    name = "network alone" if arguments.alone else "network on top of n-grams"
    figures = judging.report(lines, p, by_counting, f"n-gram Bayes, n up to {counted.n}", name)
    about = {
        "kind": KIND, "by": lines.by, "index": index, "labels": lines.names, "factor": factor,
        "bayes": None if arguments.alone else bayes.packed(counted),
    }  # fmt: skip
    files = [out / "label.npz", out / "confusion.png"]
    right = {part: own for part, own in figures.items() if part != "confusion"}
    mr.save(model, files[0], about | {"figures": right})
    judging.picture(figures["confusion"], lines.names, files[1])
    if arguments.json is not None:
        write(arguments.json, (json.dumps(figures, indent=2) + "\n").encode())
        files.append(arguments.json)
    training.end(job)
    print(f"\n{time.perf_counter() - began:.0f} s; files written:")
    print("".join(f"  {file}\n" for file in files), end="")
    print(f"label new lines, a text each: minirnn label --predict {files[0]} FILE")
    return 0


def prepared(content: str, arguments: argparse.Namespace, rng: np.random.Generator) -> Lines:
    """The lines in a file; what was found is printed."""
    name = "standard input" if arguments.file == "-" else arguments.file
    found = labelled.labelled(
        content, name, arguments.label, arguments.text, not arguments.no_header
    )
    names = sorted(set(found.labels))
    number = {label: k for k, label in enumerate(names)}
    labels = np.array([number[label] for label in found.labels])
    by = arguments.by or labelling.kind_of(found.texts)
    tokens = [labelling.tokens_of(text, by) for text in found.texts]
    parts = labelling.split(found.texts, labels, rng)
    if not all(len(part) for part in parts):
        n = len({labelling.same(text) for text in found.texts})
        raise ValueError(
            f"{name}: expected more different texts, so that some can be left for testing, got {n} "
            f"in {len(labels)} lines"
        )
    lines = Lines(found.texts, found.lines, names, labels, tokens, by, parts)
    told = [*found.found, *judging.shown(lines), *judging.cautions(lines, arguments.balance)]
    sizes = "{} to train, {} to decide when to stop, {} to test".format(*map(len, parts))
    told.append(f"drawn by chance with seed {arguments.seed}: {sizes}")
    why = {"characters": "most are short", "words": "most have more than three words"}[by]
    told.append(f"texts are read by {by}, {'as --by says' if arguments.by else 'since ' + why}")
    print("\n  ".join([f"{name}:", *told]), flush=True)
    return lines


def counting(lines: Lines, rng: np.random.Generator) -> tuple[bayes.Bayes, float, Array]:
    """The n-grams of the training part, the factor of their scores, and the logits (N, K) from
    which the network begins."""
    train, validation, _ = lines.parts
    tokens, labels = [lines.tokens[k] for k in train], lines.labels[train]
    counted = bayes.best(
        tokens, labels, [lines.tokens[k] for k in validation], lines.labels[validation],
        len(lines.names), LONGEST[lines.by],
    )  # fmt: skip
    folds = labelling.folds([lines.texts[k] for k in train], rng)
    start = np.empty((len(lines.texts), len(lines.names)))
    start[train] = bayes.scores_of_others(counted, tokens, labels, folds)
    for part in lines.parts[1:]:
        start[part] = bayes.scores(counted, [lines.tokens[k] for k in part])
    factor = bayes.scale(start[train], labels)
    return counted, factor, factor * start


def trained(
    lines: Lines, start: Array, job: training.Job, arguments: argparse.Namespace,
    rng: np.random.Generator,
) -> tuple[mr.Sequential, dict[str, int]]:  # fmt: skip
    """The network, and the number of each character or word. start: (N, K) logits."""
    train, validation, _ = lines.parts
    index = labelling.alphabet([lines.tokens[k] for k in train])
    x = [labelling.encode(own, index) for own in lines.tokens]
    targets = np.column_stack([lines.labels, start])
    K = len(lines.names)
    model = labelling.make(len(index), K, lines.by, rng)
    counts = np.bincount(lines.labels[train], minlength=K)
    weights = len(train) / (K * counts) if arguments.balance else np.ones(K)

    def data(part: Array, hide: float) -> Any:
        own = [x[k] for k in part]
        return lambda rng: labelling.shuffled(own, list(targets[part]), weights, BATCH, hide, rng)

    kinds = "characters" if lines.by == "characters" else "words"
    begins = "" if arguments.alone else "; begins from the answer of n-grams (--alone: does not)"
    print(f"\n{model}\n{len(index)} {kinds}, those that occur once are one; {K} labels{begins}\n")
    epochs = arguments.epochs or labelling.epochs_for([len(x[k]) for k in train], BATCH)
    fit = functools.partial(
        mr.fit, model, labelling.added_to, data(train, labelling.UNSEEN), mr.Adam(),
        schedule=mr.cosine(LR, epochs), max_norm=1.0, patience=PATIENCE, rng=rng,
        validation=data(validation, 0),
    )  # fmt: skip

    def tell(history: mr.History) -> str:
        return f"loss {history.loss[-1]:.3f}, validation {history.val_loss[-1]:.3f}"

    history = training.train(job, fit, epochs, tell)
    if history.stopped_early and history.best_epoch is not None:
        print(f"stopped: after epoch {history.best_epoch + 1} the validation loss was lowest")
    return model, index


def predict(arguments: argparse.Namespace) -> int:
    """Label new lines, and print label, probability and text, separated by tabs."""
    about = mr.about(arguments.predict)
    if about.get("kind") != KIND:
        raise ValueError(
            f"--predict: expected a model that 'minirnn label' has written, got {arguments.predict}"
        )
    model, by, index = mr.load(arguments.predict), about["by"], about["index"]
    name = "standard input" if arguments.file == "-" else arguments.file
    content = texts.of_a_user(arguments.file, arguments.encoding)
    lines = labelled.texts_alone(content, name, arguments.text, not arguments.no_header)
    tokens = [labelling.tokens_of(line, by) for line in lines]
    start = np.zeros((len(lines), len(about["labels"])))
    if about["bayes"] is not None:
        start = about["factor"] * bayes.scores(bayes.unpacked(about["bayes"]), tokens)
    p = labelling.probabilities(model, [labelling.encode(own, index) for own in tokens], start)
    for line, own in zip(lines, p, strict=True):
        print(f"{about['labels'][own.argmax()]}\t{own.max():.3f}\t{line}")
    unknown = Counter(t for own in tokens for t in own if t not in index)
    if unknown:
        some = ", ".join(repr(token) for token, _ in unknown.most_common(10))
        print(
            f"minirnn: {sum(unknown.values())} of {sum(map(len, tokens))} {by} were not seen in "
            f"training, or once: {some}",
            file=sys.stderr,
        )
    return 0
