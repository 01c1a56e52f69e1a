"""The classic experiments, each a short script of its own: README.md beside this file lists them.

Every script has two things for the command line: ``EXPERIMENT``, what it is, and ``run``, which
takes ``Settings`` and returns its figures.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Result = dict[str, dict[str, float]]  # figures by model (the baselines too) and part


class Settings(NamedTuple):
    """How to run an experiment: ``airline.run(Settings(seed=1, epochs=50))``."""

    seed: int = 0
    out: Path | None = None  # folder for the pictures; without one none are drawn
    epochs: int | None = None  # how long to train; None: as long as the experiment says
    quick: bool = False  # a short run, to see that it works
    progress: bool | None = None  # show bars; None: only in a terminal

    def draw(self, picture: Callable[..., None], *arguments: Any) -> None:
        """``picture(out, *arguments)`` draws into the folder, if there is one."""
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            picture(self.out, *arguments)


class Experiment(NamedTuple):
    """What ``minirnn list`` and the tables of results say of an experiment."""

    title: str
    unit: str  # of its figures
    seconds: int  # of a whole run with one seed, on one core of a server
    reference: str  # figures of others
    digits: str = ".1f"  # how its figures are printed
    data: str = ""  # size of the download, or "by hand": no download; empty if none is needed
    # Options of its own: the name, which is an argument of ``run``, and what argparse must know.
    options: Mapping[str, Mapping[str, Any]] = {}
