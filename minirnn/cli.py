"""The command ``minirnn``: what one types, the commands it names, and how it ends."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

import minirnn as mr
from minirnn.commands import everything, experiments, forecast, gradcheck, label, listen, write
from minirnn.commands.common import did_you_mean, in_full


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
        p.exit(2, f"minirnn: no command {did_you_mean(first, subparsers, 'minirnn list')}\n")
    arguments, unknown = p.parse_known_args(argv)
    if unknown and first.startswith("-"):
        p.exit(2, f"minirnn: no option {unknown[0]!r}; put options after the command's name\n")
    if unknown:
        own = subparsers[first]
        kind = "option" if unknown[0].startswith("-") else "argument"
        options = re.findall(r"--[a-z][a-z-]*", own.format_usage())
        hint = did_you_mean(unknown[0], options, f"{own.prog} --help")
        p.exit(2, f"{own.prog}: no {kind} {hint}\n")
    return arguments


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the program, and those of its commands by name."""
    p = argparse.ArgumentParser(
        prog="minirnn",
        description="Recurrent networks written out by hand: run the classic experiments, "
        "or learn from a file of your own.",
        epilog="example: minirnn airline --seed 1 --out airline-run",
    )
    p.add_argument("--version", action="version", version=f"minirnn {mr.__version__}")
    p.set_defaults(command=experiments.list_experiments)
    sub = p.add_subparsers(title="commands", metavar="COMMAND")
    for module in (experiments, everything, forecast, gradcheck, label, listen, write):
        module.add(sub)
    return p, sub.choices
