"""The command ``minirnn``: run the experiments, check the gradients."""

import argparse
import difflib
import functools
import importlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import minirnn as mr
from minirnn.experiments import Experiment, Result, Settings
from minirnn.files.atomic import write

EXPERIMENTS = (
    "series-predictor", "airline", "stock", "digits-rows", "mnist-rows", "mnist16", "cifar-rows",
    "pixel-mnist", "imdb", "polarity", "char-lm", "ptb", "translate", "dates", "next-digit", "cook",
    "reverse", "adding", "copy", "temporal-order", "parity", "reber", "odyssey", "vanishing",
    "output-recurrence",
)  # fmt: skip
LONG_LAGS = ("copy", "temporal-order", "parity")  # three tasks of one script, longlag.py


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    usual = signal.signal(signal.SIGINT, stop)
    try:
        try:
            arguments = parse(sys.argv[1:] if argv is None else argv)
            return arguments.command(arguments)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where an error can be caught
    except (KeyboardInterrupt, Stopped):
        print("\nminirnn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads on, as in ``minirnn list | head -1``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    # A folder that cannot be written, wrong data, a training that diverged, data without an end
    except (OSError, ValueError, ArithmeticError, MemoryError) as error:
        print(f"minirnn: {in_full(error)}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, usual)


class Stopped(BaseException):
    """Ctrl-C ends the program, where ``fit`` alone would only end its training."""


def stop(*_: Any) -> None:
    raise Stopped


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; what is misspelt ends the program, with what was probably meant."""
    p, subparsers = parser()
    first = argv[0] if argv else "list"
    if not first.startswith("-") and first not in subparsers:
        p.exit(2, f"minirnn: no experiment {did_you_mean(first, subparsers, 'minirnn list')}\n")
    arguments, unknown = p.parse_known_args(argv)
    if unknown and first.startswith("-"):
        p.exit(2, f"minirnn: no option {unknown[0]!r}; put options after the experiment's name\n")
    if unknown:
        own = subparsers[first]
        kind = "option" if unknown[0].startswith("-") else "argument"
        options = re.findall(r"--[a-z]+", own.format_usage())
        hint = did_you_mean(unknown[0], options, f"{own.prog} --help")
        p.exit(2, f"{own.prog}: no {kind} {hint}\n")
    return arguments


def did_you_mean(word: str, known: Iterable[str], shows_all: str) -> str:
    """The word, and what was probably meant."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"{word!r}; " + (f"did you mean {close[0]!r}?" if close else f"{shows_all!r} shows all")


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the program, and those of its commands by name."""
    p = argparse.ArgumentParser(
        prog="minirnn",
        description="Recurrent networks written out by hand: run the classic experiments.",
        epilog="example: minirnn airline --seed 1 --out airline-run",
    )
    p.add_argument("--version", action="version", version=f"minirnn {mr.__version__}")
    p.set_defaults(command=list_experiments)
    sub = p.add_subparsers(title="commands", metavar="COMMAND")
    for name in EXPERIMENTS:
        add_experiment(sub, name)
    usual = duration(sum(find(name)[0].seconds for name in EXPERIMENTS))
    add = sub.add_parser("all", help=f"run all experiments ({usual}), and make one table of them")
    add_options(add, Path("out"))
    add.add_argument(
        "--only",
        nargs="+",
        type=experiment_name,
        default=EXPERIMENTS,
        metavar="NAME",
        help="run these instead of all",
    )
    add.set_defaults(command=run_all)
    add = sub.add_parser("list", help="list the experiments, their times and what they download")
    add.set_defaults(command=list_experiments)
    add = sub.add_parser(
        "gradcheck",
        help="check every gradient of every layer against measured derivatives",
        epilog="example: minirnn gradcheck --method complex",
    )
    add.add_argument(
        "--method",
        choices=("central", "complex"),
        default="central",
        help="how to measure a derivative: by central differences, good to 1e-7 (the default), or "
        "by the complex step, good to 1e-12, for layers that have a function of one step",
    )
    add.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="of the random weights and inputs (default: %(default)s)",
    )
    add.set_defaults(command=check_gradients)
    return p, sub.choices


def add_experiment(sub: Any, name: str) -> None:
    experiment, _ = find(name)
    add = sub.add_parser(
        name,
        help=experiment.title.replace("%", "%%"),  # to argparse a % begins a name
        description=module_of(name).__doc__,
        epilog=f"example: minirnn {name} --seed 1 --out {name}-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(add, Path("out") / name)
    add.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    for option, how in experiment.options.items():
        add.add_argument(f"--{option}", **how)
    add.set_defaults(command=run_experiment, name=name)


def add_options(add: argparse.ArgumentParser, out: Path) -> None:
    add.add_argument(
        "--out",
        type=Path,
        default=out,
        metavar="DIR",
        help="folder for the pictures, made if there is none (default: %(default)s)",
    )
    add.add_argument(
        "--seed",
        metavar="N",
        type=whole_number,
        default=0,
        help="of all that is random (default: %(default)s)",
    )
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
    """The script of an experiment."""
    file = "longlag" if name in LONG_LAGS else name.replace("-", "_")
    return importlib.import_module(f"minirnn.experiments.{file}")


def find(name: str) -> tuple[Experiment, Callable[..., Result]]:
    """What an experiment is, and the function that runs it."""
    module = module_of(name)
    if name in LONG_LAGS:
        return module.EXPERIMENTS[name], functools.partial(module.run, name=name)
    return module.EXPERIMENT, module.run


class Waiting(Settings):
    """Settings whose pictures wait, until the figures are printed and written."""

    pictures: list[Callable[[], None]]

    def draw(self, picture: Callable[..., None], *arguments: Any) -> None:
        if self.out is not None:
            self.pictures.append(functools.partial(super().draw, picture, *arguments))


def run_seeds(
    name: str, out: Path, arguments: argparse.Namespace, keep: Callable[[list[Result], str], None]
) -> list[Callable[[], None]]:
    """Run an experiment with each seed, and print the table, be it of the seeds that were finished
    before an error. Returns what draws the pictures, of the first seed.

    keep(runs, note): called after each seed with the figures so far, and the seeds and the time in
    words.
    """
    experiment, run = find(name)
    options = {o: getattr(arguments, o) for o in experiment.options if hasattr(arguments, o)}
    seeds, started, note = seeds_of(arguments), time.perf_counter(), ""
    pictures: list[Callable[[], None]] = []
    runs: list[Result] = []
    try:
        for seed in seeds:
            settings = Waiting(seed, None if runs else out, arguments.epochs, arguments.quick, None)
            settings.pictures = pictures
            runs.append(run(settings, **options))
            seconds = time.perf_counter() - started
            note = f"{in_words(seeds[: len(runs)])}, {seconds:.{0 if seconds > 9 else 1}f} s"
            keep(runs, note)
    except FileNotFoundError as error:
        if experiment.data != "by hand":
            raise
        help_ = f"'minirnn {name} --help' says where the data are from."
        raise FileNotFoundError(f"{error} {help_}") from error
    finally:
        if runs:
            print(table(runs, experiment.unit, experiment.digits))
            print(f"reference: {experiment.reference}\n\n{note}", flush=True)
    return pictures


def draw(pictures: list[Callable[[], None]]) -> bool:
    """Draw the pictures; returns whether all could be drawn and written."""
    for picture in pictures:
        try:
            picture()
        except BrokenPipeError:
            raise
        except Exception as error:  # whatever it is, the figures are there
            print(f"minirnn: a picture is missing: {in_full(error)}", file=sys.stderr)
            return False
    return True


def in_full(error: Exception) -> str:
    kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
    return f"{kind}{error}"


def seeds_of(arguments: argparse.Namespace) -> range:
    return range(arguments.seed, arguments.seed + arguments.seeds)


def in_words(seeds: range) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def try_folder(folder: Path, option: str) -> None:
    """Write into a folder, so that what does not work is said before the training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        why = error.strerror or error
        raise OSError(f"{option}: nothing can be written into {folder}: {why}") from None


def run_experiment(arguments: argparse.Namespace) -> int:
    name, out, seeds, file = arguments.name, arguments.out, seeds_of(arguments), arguments.json
    experiment, _ = find(name)
    try_folder(out, "--out")
    if file is not None and file.is_dir():
        raise IsADirectoryError(f"--json: {file} is a folder")
    own = file is not None and (file.is_file() or not file.exists())  # no device, no pipe
    if own:
        try_folder(Path(os.path.realpath(file)).parent, "--json")
    print(f"{name}: {experiment.title}")
    if arguments.quick:
        print("a short run, to see that it works; do not trust its figures", flush=True)
    elif arguments.epochs is None:
        usual = duration(experiment.seconds * len(seeds))
        print(f"takes about {usual} on one core of a server", flush=True)
    before = contents(out)

    def keep(runs: list[Result], _: str) -> None:
        if own or (file is not None and len(runs) == len(seeds)):  # a pipe gets it once
            report = {
                "experiment": name,
                "unit": experiment.unit,
                "quick": arguments.quick,
                "seeds": {str(seed): run for seed, run in zip(seeds, runs, strict=False)},
            }
            write(file, (json.dumps(report, indent=2) + "\n").encode())

    drawn = draw(run_seeds(name, out, arguments, keep))
    written = [path for path, when in contents(out).items() if before.get(path) != when]
    if file is not None and file not in written:
        written.append(file)
    print("\n  ".join(["files written:" if written else "no files written", *map(str, written)]))
    return 0 if drawn else 1


def contents(folder: Path) -> dict[Path, int]:
    """The files in a folder, and when they were written."""
    return {f: f.stat().st_mtime_ns for f in sorted(folder.iterdir()) if f.is_file()}


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def run_all(arguments: argparse.Namespace) -> int:
    """Each experiment in turn; if one fails, because its data are missing say, the others still
    run. An earlier table in the folder keeps the sections of those that are not run again."""
    try_folder(arguments.out, "--out")
    file, failed, undrawn = arguments.out / "results.md", [], []
    parts = earlier(file)

    def keep(name: str, runs: list[Result], note: str) -> None:
        # After each, so that a long run that is stopped leaves what it has.
        experiment, _ = find(name)
        short = " A short run, to see that it works." if arguments.quick else ""
        figures = table(runs, experiment.unit, experiment.digits).strip()
        part = (
            f"## {name}\n\n{experiment.title}; {note}.{short}\n"
            f"Reference: {experiment.reference}.\n\n```\n{figures}\n```"
        )
        old = [k for k, text in enumerate(parts) if text.startswith(f"## {name}\n")]
        if old:
            parts[old[0]] = part
        else:
            parts.append(part)
        write(file, ("\n\n".join(parts) + "\n").encode("utf-8", "surrogateescape"))

    for name in dict.fromkeys(arguments.only):
        print(f"{name}: {find(name)[0].title}", flush=True)
        try:
            pictures = run_seeds(
                name, arguments.out / name, arguments, functools.partial(keep, name)
            )
        except BrokenPipeError:
            raise
        except Exception as error:  # whatever it is, the others can run
            print(f"minirnn: {name}: {in_full(error)}", file=sys.stderr)
            failed.append(name)
        else:
            if not draw(pictures):
                undrawn.append(name)
        print(flush=True)
    if len(failed) < len(set(arguments.only)):
        print(f"tables: {file}; pictures: a folder beside it for each")
    for names, what in ((failed, "not run"), (undrawn, "without pictures")):
        if names:
            print(f"{what}: {', '.join(names)}")
    return 1 if failed or undrawn else 0


def earlier(file: Path) -> list[str]:
    """The head and the sections of the table that an earlier run has left."""
    if not file.exists():
        return ["# Results"]
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    if not text.startswith("# Results\n"):
        raise ValueError(f"--out: {file} is not a table of results; choose another folder")
    return [part.strip() for part in re.split("^(?=## )", text, flags=re.MULTILINE)]


def table(runs: list[Result], unit: str, digits: str = ".1f") -> str:
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
    """The answer to ``minirnn list``, and to ``minirnn`` alone."""
    rows = [("experiment", "time", "download", "what it is")]
    for name in EXPERIMENTS:
        experiment, _ = find(name)
        rows.append((name, duration(experiment.seconds), experiment.data or "-", experiment.title))
    first, second, third, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, usual, data, title in rows:
        print(f"{name:<{first}}  {usual:>{second}}  {data:<{third}}  {title}")
    print(
        """
Times are of one core of a server. Data are downloaded once, into a cache folder. "by hand": there
is no download; "minirnn NAME --help" says where the data are from.
"minirnn NAME" runs an experiment, "minirnn NAME --help" explains it, "minirnn gradcheck" checks
every gradient of every layer."""
    )
    return 0


def check_gradients(arguments: argparse.Namespace) -> int:
    import numpy as np

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


def experiment_name(text: str) -> str:
    if text not in EXPERIMENTS:
        hint = did_you_mean(text, EXPERIMENTS, "minirnn list")
        raise argparse.ArgumentTypeError(f"no experiment {hint}")
    return text


def whole_number(text: str, least: int = 0) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {least}, got {text!r:.80}"
        )
    if number >= 2**31:
        raise argparse.ArgumentTypeError(f"expected at most {2**31 - 1}, got {text!r:.80}")
    return number


def positive(text: str) -> int:
    return whole_number(text, 1)
