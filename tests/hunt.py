"""Draw many random models, try everything on each, and count what was drawn and what fails.

    python tests/hunt.py --count 3000                    # legal models
    python tests/hunt.py --count 3000 --kind anything    # layers put together as they come
    python tests/hunt.py --count 3000 --kind misfits     # models that must be refused

Unlike the tests it goes on after a failure. Of each kind of failure it shows the smallest model.
"""

import argparse
import collections
import sys
import time
import traceback

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from misfits import anything, misfits
from models import cases
from properties import PROPERTIES, must_be_refused, refused_or
from sketches import kinds

KINDS = {"legal": cases, "anything": anything, "misfits": misfits}


class Tally:
    """What was drawn, how each property went, and the smallest model of each kind of failure."""

    def __init__(self):
        self.models, self.shapes, self.went = [], set(), collections.Counter()
        self.failures = {}  # what failed, and where, to (how often, the smallest case, the error)

    def add(self, case, refused):
        self.models.append(repr(case.model))
        self.shapes.add(kinds(case.model))
        self.went["refused" if refused else "right or not"] += 1

    def attempt(self, function, case):
        try:
            result = function(case)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            key = function.__name__, type(error).__name__, f"{last.filename}:{last.lineno}"
            times, smallest, text = self.failures.get(key, (0, case, str(error)))
            if len(repr(case)) < len(repr(smallest)):
                smallest, text = case, str(error)
            self.failures[key] = times + 1, smallest, text
            return "failed"
        self.went[f"{function.__name__}: {'holds' if result is None else result}"] += 1
        return result

    def report(self):
        print(
            f"{len(self.models)} models drawn, {len(set(self.models))} of them different, ", end=""
        )
        print(f"{len(self.shapes)} shapes of tree")
        for name, times in sorted(self.went.items()):
            print(f"  {name:<50}{times:7d}")
        for (name, kind, where), (times, case, text) in sorted(self.failures.items()):
            print(f"\n{name}: {times} times {kind}, {where}\n  {case}\n  {text[:400]}")
        print(f"\n{len(self.failures)} kinds of failure")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--kind", choices=KINDS, default="legal")
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    tally = Tally()

    @hypothesis.seed(given_.seed)
    @settings(
        max_examples=given_.count, phases=[Phase.generate], deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(KINDS[given_.kind]())
    def draw(drawn):
        case = getattr(drawn, "case", drawn)
        if given_.kind == "misfits":
            tally.add(case, tally.attempt(must_be_refused, drawn) != "failed")
            return
        refused = given_.kind == "anything" and tally.attempt(refused_or, case)
        tally.add(case, refused)
        for holds in [] if refused else PROPERTIES:
            tally.attempt(holds, case)

    begin = time.process_time()
    draw()
    tally.report()
    print(f"{time.process_time() - begin:.0f} s of processor time")
    return bool(tally.failures)


if __name__ == "__main__":
    sys.exit(main())
