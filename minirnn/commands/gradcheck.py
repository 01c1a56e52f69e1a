"""``minirnn gradcheck``: check every gradient of every layer."""

import argparse
from typing import Any

import minirnn as mr
from minirnn.commands.common import whole_number


def add(sub: Any) -> None:
    own = sub.add_parser(
        "gradcheck",
        help="check every gradient of every layer against measured derivatives",
        epilog="example: minirnn gradcheck --method complex",
    )
    own.add_argument(
        "--method",
        choices=("central", "complex"),
        default="central",
        help="how to measure a derivative: by central differences, good to 1e-7 (the default), or "
        "by the complex step, good to 1e-12, for layers that have a function of one step",
    )
    own.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="of the random weights and inputs (default: %(default)s)",
    )
    own.set_defaults(command=check_gradients)


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
