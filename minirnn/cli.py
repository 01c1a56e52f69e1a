"""The command ``minirnn``: run the experiments, check the gradients."""

import argparse
import importlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minirnn.files.npz import write

EXPERIMENTS = (
    "series-predictor", "airline", "stock", "digits-rows", "mnist-rows", "mnist16", "cifar-rows",
    "pixel-mnist", "imdb", "polarity", "char-lm", "ptb", "translate", "dates", "next-digit", "cook",
    "reverse", "adding", "copy", "temporal-order", "parity", "reber", "odyssey", "vanishing",
    "output-recurrence",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = parser().parse_args(argv)
    usual = signal.signal(signal.SIGINT, stop)
    try:
        return arguments.command(arguments)
    except (KeyboardInterrupt, Stopped):
        print("\nminirnn: stopped", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:  # a folder that cannot be written, data that are none
        print(f"minirnn: {error}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, usual)


class Stopped(BaseException):
    """Ctrl-C ends the program, where ``fit`` alone would only end its training."""


def stop(*_: Any) -> None:
    raise Stopped


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="minirnn",
        description="Recurrent networks written out by hand: run the classic experiments.",
        epilog="example: minirnn airline --seed 1 --out airline-run",
    )
    sub = p.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in EXPERIMENTS:
        add_experiment(sub, name)
    add = sub.add_parser("all", help="run all experiments, and make one table of them")
    add_options(add, Path("out"))
    add.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    add.set_defaults(command=run_all)
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
    module = module_of(name)
    add = sub.add_parser(
        name,
        help=module.TITLE.replace("%", "%%"),  # to argparse a % begins a name
        description=module.__doc__,
        epilog=f"example: minirnn {name} --seed 1 --out {name}-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(add, Path("out") / name)
    add.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    for option, kind in getattr(module, "OPTIONS", {}).items():
        if isinstance(kind, type):
            add.add_argument(f"--{option}", type=kind, metavar="FILE")
        else:
            add.add_argument(f"--{option}", choices=kind, default=kind[0])
    add.set_defaults(command=run_experiment, module=module, name=name)


def add_options(add: Any, out: Path) -> None:
    add.add_argument(
        "--out",
        type=Path,
        default=out,
        metavar="DIR",
        help="folder for the pictures (default: %(default)s)",
    )
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


def module_of(name: str) -> Any:
    """The module of an experiment."""
    return importlib.import_module("minirnn.experiments." + name.replace("-", "_"))


def runs_of(module: Any, seeds: range, out: Path, arguments: Any, **options: Any) -> list[dict]:
    """What an experiment returns for each seed; the first also draws its pictures."""
    return [
        module.run(
            seed, out if seed == seeds[0] else None, arguments.epochs, arguments.quick, **options
        )
        for seed in seeds
    ]


def run_experiment(arguments: argparse.Namespace) -> int:
    module, name = arguments.module, arguments.name
    print(f"{name}: {module.TITLE}")
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    arguments.out.mkdir(parents=True, exist_ok=True)  # if it cannot be, say so before training
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        if arguments.json.is_dir():
            raise IsADirectoryError(f"--json: {arguments.json} is a folder")
    options = {option: getattr(arguments, option) for option in getattr(module, "OPTIONS", {})}
    started = time.perf_counter()
    runs = runs_of(module, seeds, arguments.out, arguments, **options)
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
        write(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
        print(f"figures: {arguments.json}")
    return 0


def run_all(arguments: argparse.Namespace) -> int:
    """Each experiment in turn; one that fails, for want of its data say, does not stop the rest."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    seeds, parts, failed = range(arguments.seed, arguments.seed + arguments.seeds), [], []
    for name in arguments.only:
        module = module_of(name)
        print(f"{name}: {module.TITLE}", flush=True)
        started = time.perf_counter()
        try:
            runs = runs_of(module, seeds, arguments.out / name, arguments)
        except OSError as error:
            print(f"minirnn: {error}", file=sys.stderr)
            failed.append(name)
            continue
        text = table(runs, module.UNIT, getattr(module, "DIGITS", ".1f"))
        seconds = time.perf_counter() - started
        print(f"{text}\nreference: {module.REFERENCE}\n{seconds:.0f} s\n", flush=True)
        parts.append(
            f"## {name}\n\n{module.TITLE}; seeds {seeds[0]} to {seeds[-1]}, {seconds:.0f} s.\n"
            f"Reference: {module.REFERENCE}.\n\n```\n{text.strip()}\n```\n"
        )
        # After each, so that a long run that is stopped leaves what it has.
        write(arguments.out / "results.md", "\n".join(["# Results\n", *parts]).encode())
    if failed:
        print(f"not run: {', '.join(failed)}")
    return 1 if failed else 0


def table(runs: list[dict[str, dict[str, float]]], unit: str, digits: str = ".1f") -> str:
    """Figures by model and part; over several seeds the mean and the range."""
    parts = list(dict.fromkeys(part for figures in runs[0].values() for part in figures))
    rows = [[unit, *parts]]
    for name in runs[0]:
        cells = []
        for part in parts:
            values = [run[name][part] for run in runs if part in run[name]]
            if not values:  # a baseline takes no time, say
                cells.append("-")
                continue
            mean, low, high = sum(values) / len(values), min(values), max(values)
            ends = [f"{value:{digits}}" for value in (low, high)]
            spread = f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
            cells.append(f"{mean:{digits}}{spread}")
        rows.append([name, *cells])
    first, *widths = (max(len(text) for text in column) for column in zip(*rows, strict=True))
    return "\n" + "\n".join(
        name.ljust(first) + "".join(f"   {c:>{w}}" for c, w in zip(cells, widths, strict=True))
        for name, *cells in rows
    )


def list_experiments(arguments: argparse.Namespace) -> int:
    for name in EXPERIMENTS:
        module = module_of(name)
        print(f"{name:<12} {module.SECONDS:>4} s   {module.TITLE}")
    return 0


def check_gradients(arguments: argparse.Namespace) -> int:
    import numpy as np

    import minirnn as mr
    from minirnn.checking.catalogue import LAYERS, example, make
    from minirnn.protocol import without_step

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
