"""``minirnn all``: run all experiments, and make one table of them."""

import argparse
import functools
import re
import sys
from pathlib import Path
from typing import Any

from minirnn.commands import experiments
from minirnn.commands.common import did_you_mean, duration, in_full, try_folder
from minirnn.experiments import Result
from minirnn.files.atomic import write


def add(sub: Any) -> None:
    usual = duration(sum(experiments.find(name)[0].seconds for name in experiments.EXPERIMENTS))
    own = sub.add_parser("all", help=f"run all experiments ({usual}), and make one table of them")
    experiments.add_options(own, Path("out"))
    own.add_argument(
        "--only",
        nargs="+",
        type=experiment_name,
        default=experiments.EXPERIMENTS,
        metavar="NAME",
        help="run these instead of all",
    )
    own.set_defaults(command=run_all)


def experiment_name(text: str) -> str:
    if text not in experiments.EXPERIMENTS:
        hint = did_you_mean(text, experiments.EXPERIMENTS, "minirnn list")
        raise argparse.ArgumentTypeError(f"no experiment {hint}")
    return text


def run_all(arguments: argparse.Namespace) -> int:
    """Each experiment in turn; if one fails, because its data are missing say, the others still
    run. An earlier table in the folder keeps the sections of those that are not run again."""
    try_folder(arguments.out, "--out")
    file, failed, undrawn = arguments.out / "results.md", [], []
    parts = earlier(file)

    def keep(name: str, runs: list[Result], note: str) -> None:
        # After each, so that a long run that is stopped leaves what it has.
        experiment, _ = experiments.find(name)
        short = " A short run, to see that it works." if arguments.quick else ""
        figures = experiments.table(runs, experiment.unit, experiment.digits).strip()
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
        print(f"{name}: {experiments.find(name)[0].title}", flush=True)
        try:
            pictures = experiments.run_seeds(
                name, arguments.out / name, arguments, functools.partial(keep, name)
            )
        except BrokenPipeError:
            raise
        except Exception as error:  # whatever it is, the others can run
            print(f"minirnn: {name}: {in_full(error)}", file=sys.stderr)
            failed.append(name)
        else:
            if not experiments.draw(pictures):
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
