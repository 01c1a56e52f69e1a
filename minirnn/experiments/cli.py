"""The command ``minirnn``: run the experiments, check the gradients."""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXPERIMENTS = ("airline", "reverse", "adding")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except KeyboardInterrupt:
        print("\nminirnn: stopped", file=sys.stderr)
        return 130
    except OSError as error:  # a folder that cannot be written, say
        print(f"minirnn: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="minirnn",
        description="Recurrent networks written out by hand: run the classic experiments.",
        epilog="example: minirnn airline --seed 1 --out airline-run",
    )
    sub = p.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in EXPERIMENTS:
        add_experiment(sub, name)
    add = sub.add_parser("list", help="list the experiments")
    add.set_defaults(command=list_experiments)
    add = sub.add_parser(
        "gradcheck",
        help="check every gradient of every layer against measured derivatives",
        epilog="example: minirnn gradcheck --method complex",
    )
    add.add_argument("--method", choices=("central", "complex"), default="central")
    add.add_argument("--seed", type=whole_number, default=0)
    add.set_defaults(command=check_gradients)
    return p


def add_experiment(sub: Any, name: str) -> None:
    module = importlib.import_module(f"minirnn.experiments.{name}")
    add = sub.add_parser(
        name,
        help=module.TITLE,
        description=module.__doc__,
        epilog=f"example: minirnn {name} --seed 1 --out {name}-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add.add_argument(
        "--out",
        type=Path,
        default=Path("out") / name,
        metavar="DIR",
        help="folder for the pictures (default: %(default)s)",
    )
    add.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    add.add_argument("--seed", type=whole_number, default=0, help="default: %(default)s")
    add.add_argument(
        "--seeds",
        type=positive,
        default=1,
        metavar="N",
        help="run with N seeds from --seed on and give means and ranges",
    )
    add.add_argument("--epochs", type=positive, metavar="N", help="how long to train at most")
    add.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    add.set_defaults(command=run_experiment, module=module, name=name)


def run_experiment(arguments: argparse.Namespace) -> int:
    module, name = arguments.module, arguments.name
    print(f"{name}: {module.TITLE}")
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    arguments.out.mkdir(parents=True, exist_ok=True)  # if it cannot be, say so before training
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        if arguments.json.is_dir():
            raise IsADirectoryError(f"--json: {arguments.json} is a folder")
    runs, started = [], time.perf_counter()
    for seed in seeds:
        out = arguments.out if seed == seeds[0] else None
        runs.append(module.run(seed, out, arguments.epochs, arguments.quick))
    print(table(runs, module.UNIT, getattr(module, "DIGITS", ".1f")))
    print(f"\n{time.perf_counter() - started:.1f} s; seeds {seeds[0]} to {seeds[-1]}; pictures:")
    for picture in sorted(arguments.out.glob("*.png")):
        print(f"  {picture}")
    if arguments.json is not None:
        report = {
            "experiment": name,
            "unit": module.UNIT,
            "quick": arguments.quick,
            "seeds": {str(seed): run for seed, run in zip(seeds, runs, strict=True)},
        }
        write(arguments.json, json.dumps(report, indent=2) + "\n")
        print(f"figures: {arguments.json}")
    return 0


def table(runs: list[dict[str, dict[str, float]]], unit: str, digits: str = ".1f") -> str:
    """Figures by model and part; over several seeds the mean and the range."""
    parts = list(next(iter(runs[0].values())))
    width = 24 if len(runs) > 1 else 19
    lines = [f"\n{unit:<28}" + "".join(f"{part:>{width}}" for part in parts)]
    for name in runs[0]:
        cells = []
        for part in parts:
            values = [run[name][part] for run in runs]
            mean, low, high = sum(values) / len(values), min(values), max(values)
            ends = [f"{value:{digits}}" for value in (low, high)]
            spread = f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
            cells.append(f"{mean:{digits}}{spread}")
        lines.append(f"{name:<28}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder exists."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def list_experiments(arguments: argparse.Namespace) -> int:
    for name in EXPERIMENTS:
        module = importlib.import_module(f"minirnn.experiments.{name}")
        print(f"{name:<12} {module.SECONDS:>4} s   {module.TITLE}")
    return 0


def check_gradients(arguments: argparse.Namespace) -> int:
    import numpy as np

    import minirnn as mr
    from minirnn.derivatives import without_step
    from minirnn.experiments.catalogue import LAYERS, example, make

    rng = np.random.default_rng(arguments.seed)
    wrong: list[str] = []
    skipped: list[str] = []
    for name in LAYERS:
        layer, given = make(name, rng=rng), example(name, rng, T=5, ragged=True)
        by_steps = arguments.method == "complex"  # by functions of one step, which some have not
        if by_steps and (without_step(layer) or isinstance(given.x, tuple)):
            skipped.append(name)
            continue
        report = mr.gradcheck(layer, *given, method=arguments.method, training=not by_steps)
        print(f"{name}: 3 sequences of different length\n{report}\n")
        if not report.ok:
            wrong.append(name)
    if skipped:
        print(f"no function of one step, so not checked: {', '.join(skipped)}")
    checked = len(LAYERS) - len(skipped)
    print(
        "\n".join(
            [f"{checked - len(wrong)} of {checked} layers ok", *(f"WRONG: {n}" for n in wrong)]
        )
    )
    return 1 if wrong else 0


def whole_number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text}")
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return number
